//! ENet 1.3, sans-IO (protocol part 3, section 1).
