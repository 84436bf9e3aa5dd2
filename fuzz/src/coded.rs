//! The byte format: one byte a choice, so that a mutated byte is a small change to a history.

use arbitrary::{Result, Unstructured};

/// Something that is read from bytes, and written to the bytes that it is read from.
pub(crate) trait Coded: Sized {
    fn decode(bytes: &mut Unstructured<'_>) -> Result<Self>;
    fn encode(&self, out: &mut Vec<u8>);
}

impl Coded for u8 {
    fn decode(bytes: &mut Unstructured<'_>) -> Result<Self> {
        bytes.arbitrary()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
}

/// At most so many, after a byte that says how many.
pub(crate) fn decode_list<T: Coded>(bytes: &mut Unstructured<'_>, most: usize) -> Result<Vec<T>> {
    let len = usize::from(u8::decode(bytes)?) % (most + 1);
    (0..len).map(|_| T::decode(bytes)).collect()
}

pub(crate) fn encode_list<T: Coded>(list: &[T], most: usize, out: &mut Vec<u8>) {
    assert!(list.len() <= most, "a list too long for the format");
    out.push(list.len() as u8);
    list.iter().for_each(|item| item.encode(out));
}

/// Enums whose parts are all [`Coded`]: a byte that says which, then the parts of that one.
macro_rules! coded {
    ($($(#[$doc:meta])* enum $name:ident { $($(#[$about:meta])* $kind:ident $({ $($part:ident: $type:ty),* })?,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$about])* $kind $({ $($part: $type),* })?,)* }

        impl $name {
            /// The names of all kinds.
            pub(crate) const KINDS: &[&str] = &[$(stringify!($kind)),*];

            /// Which kind it is.
            pub(crate) fn kind(&self) -> &'static str {
                match self { $(Self::$kind $({ $($part: _),* })? => stringify!($kind),)* }
            }
        }

        impl Coded for $name {
            fn decode(bytes: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<Self> {
                let kind = Self::KINDS[usize::from(<u8 as Coded>::decode(bytes)?) % Self::KINDS.len()];
                $(if kind == stringify!($kind) {
                    return Ok(Self::$kind $({ $($part: Coded::decode(bytes)?),* })?);
                })*
                unreachable!("one of the kinds")
            }

            fn encode(&self, out: &mut Vec<u8>) {
                let kind = Self::KINDS.iter().position(|kind| *kind == self.kind());
                out.push(kind.expect("one of the kinds") as u8);
                match self { $(Self::$kind $({ $($part),* })? => { $($($part.encode(out);)*)? })* }
            }
        }
    )*};
}
pub(crate) use coded;
