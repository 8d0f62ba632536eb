//! Protocols of KWin in versions that no crate has: the code is made of what the XML files beside this say. What they
//! mean is said where they are used.

#![expect(missing_docs, clippy::pedantic, reason = "generated code")]

pub mod fake_input {
    use wayland_client;

    pub mod __interfaces {
        use wayland_client::backend as wayland_backend;
        wayland_scanner::generate_interfaces!("src/wayland/kde/fake_input.xml");
    }
    use __interfaces::*;

    wayland_scanner::generate_client_code!("src/wayland/kde/fake_input.xml");
}

pub mod output_device {
    use wayland_client;

    pub mod __interfaces {
        use wayland_client::backend as wayland_backend;
        wayland_scanner::generate_interfaces!("src/wayland/kde/output_device.xml");
    }
    use __interfaces::*;

    wayland_scanner::generate_client_code!("src/wayland/kde/output_device.xml");
}

pub mod output_management {
    use wayland_client;

    use super::output_device::*;

    pub mod __interfaces {
        use wayland_client::backend as wayland_backend;

        use crate::wayland::kde::output_device::__interfaces::*;
        wayland_scanner::generate_interfaces!("src/wayland/kde/output_management.xml");
    }
    use __interfaces::*;

    wayland_scanner::generate_client_code!("src/wayland/kde/output_management.xml");
}
