//! The numbers that several packet types share. Each keeps what was sent, so that packets encode back to the
//! same bytes, and gives out what the rules of protocol part 3, section 3.3 make of it.

/// Whether a key or button went down or up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum PressState {
    /// Pressed.
    Down,
    /// Released.
    Up,
}

/// A float was NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("number is not finite")]
pub struct NotFinite;

/// A number was outside the range of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("number is out of range")]
pub struct OutOfRange;

/// A part of some extent: a coordinate of the video area (0 is left or top, 1 is right or bottom), a pressure, a
/// distance, or an axis of a contact. Finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Fraction(f32);

impl Fraction {
    /// Nothing, or "unknown" for pressures and contact axes.
    pub const ZERO: Self = Self(0.0);
    /// All of it.
    pub const ONE: Self = Self(1.0);

    /// The value, clamped to 0..=1.
    pub const fn get(self) -> f32 {
        self.0.clamp(0.0, 1.0)
    }

    /// The value as it was sent, finite but of any size.
    pub const fn as_sent(self) -> f32 {
        self.0
    }
}

impl TryFrom<f32> for Fraction {
    type Error = NotFinite;

    fn try_from(value: f32) -> Result<Self, NotFinite> {
        if value.is_finite() { Ok(Self(value)) } else { Err(NotFinite) }
    }
}

impl From<Fraction> for f32 {
    fn from(fraction: Fraction) -> Self {
        fraction.0
    }
}

/// Defines a set of flags: a number of which only the named bits can be set. Unnamed bits are ignored when a set
/// is made from a number, as section 3.4 demands.
macro_rules! bit_set {
    ($(#[$meta:meta])* $name:ident($int:ty) { $($(#[$flag_meta:meta])* $flag:ident = $bits:expr, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
        pub struct $name($int);

        impl $name {
            $($(#[$flag_meta])* pub const $flag: Self = Self($bits);)*

            /// No flag.
            pub const EMPTY: Self = Self(0);
            /// Every flag.
            pub const ALL: Self = Self($($bits)|*);
            /// Every flag with its name, from the lowest bit.
            pub const NAMED: &'static [(Self, &'static str)] = &[$((Self::$flag, $text)),*];

            /// The set as a number.
            pub const fn bits(self) -> $int {
                self.0
            }

            /// The named flags of a number.
            pub const fn from_bits(bits: $int) -> Self {
                Self(bits & Self::ALL.0)
            }

            /// Whether all flags of `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether no flag is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The flags of both sets.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The flags of this set that `other` lacks.
            #[must_use]
            pub const fn difference(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// Names of the flags that are set, from the lowest bit.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMED.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$int>::deserialize(deserializer).map(Self::from_bits)
            }
        }

        impl From<$int> for $name {
            fn from(bits: $int) -> Self {
                Self::from_bits(bits)
            }
        }

        impl From<$name> for $int {
            fn from(set: $name) -> Self {
                set.0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_set().entries(self.names()).finish()
            }
        }
    };
}

pub(super) use bit_set;
