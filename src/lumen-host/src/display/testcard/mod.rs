//! The built-in test card.
