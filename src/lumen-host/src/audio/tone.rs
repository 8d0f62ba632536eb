//! The test card's sound: a tone per channel and a click in step with the flash.
