//! Why a port could not be opened, in words that name its service and the remedy.

use std::io;
use std::net::IpAddr;

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error(
        "cannot open {service} port {port}/{protocol} on {address}: it is in use; stop the program that has it \
         (`ss -lnp 'sport = :{port}'` names it) or choose another base port with `port` or --port"
    )]
    InUse {
        /// Name of the service.
        service: &'static str,
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// Address.
        address: IpAddr,
        /// Port.
        port: u16,
    },
    /// The address is not one of this machine.
    #[error(
        "cannot open {service} port {port}/{protocol}: {address} is not an address of this machine; correct `bind`"
    )]
    NotHere {
        /// Name of the service.
        service: &'static str,
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// Address.
        address: IpAddr,
        /// Port.
        port: u16,
    },
    /// Ports below 1024 are for privileged programs.
    #[error("cannot open {service} port {port}/{protocol}: it takes privilege; choose a base port of 1029 or above")]
    Forbidden {
        /// Name of the service.
        service: &'static str,
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// Port.
        port: u16,
    },
    /// Anything else.
    #[error("cannot open {service} port {port}/{protocol} on {address}: {source}")]
    Other {
        /// Name of the service.
        service: &'static str,
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// Address.
        address: IpAddr,
        /// Port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    /// Describes a failed bind of `service` to `port` of `address`; `protocol` is `tcp` or `udp`.
    pub fn of(service: &'static str, protocol: &'static str, address: IpAddr, port: u16, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { service, protocol, address, port },
            io::ErrorKind::AddrNotAvailable => Self::NotHere { service, protocol, address, port },
            io::ErrorKind::PermissionDenied => Self::Forbidden { service, protocol, port },
            _ => Self::Other { service, protocol, address, port, source },
        }
    }
}
