//! mdns.
