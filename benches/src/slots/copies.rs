//! The functions that are called, and every path to them, in several copies.
//!
//! Owns the copies: the same code at different places, told apart by a constant, or the compiler would make one of them. Every
//! path ends in one call of a function (or of a closure) that does the same work.

use super::path::{Call, Elsewhere, Path, Setting, Timed};
use signalpost::patch::{Override, Scope};
use std::{hint::black_box, sync::OnceLock};

/// Every path in so many copies.
pub const COUNT: usize = 5;

/// One path, in all its copies.
pub fn of(path: Path) -> [Box<dyn Call>; COUNT] {
    [first::path(path), second::path(path), third::path(path), fourth::path(path), fifth::path(path)]
}

/// What the functions do: little, and nothing that can be computed beforehand.
#[inline(always)]
fn work(argument: u64, salt: u64) -> u64 {
    let mixed = (argument ^ salt).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ (mixed >> 32)
}

macro_rules! copy {
    ($copy:ident, $salt:literal) => {
        mod $copy {
            use super::*;

            const SALT: u64 = $salt;

            #[inline(never)]
            fn function(argument: u64) -> u64 {
                work(argument, SALT)
            }

            #[inline(never)]
            fn other(argument: u64) -> u64 {
                work(argument, !SALT)
            }

            #[inline(never)]
            fn with_fail_point(argument: u64) -> u64 {
                fail::fail_point!(concat!("lab ", stringify!($copy)), |_| 0);
                work(argument, SALT)
            }

            /// A closure with captured state, which the compiler does not know.
            fn capturing() -> Box<points::sig::closure> {
                let salt = black_box(!SALT);
                Box::new(move |argument| work(argument, salt))
            }

            static BOXED: OnceLock<Box<points::sig::closure>> = OnceLock::new();

            signalpost::patch::patch_points! {
                /// Those that are called through slots, a slot for each path.
                pub mod points {
                    fn unpatched(argument: u64) -> u64 { function(argument) }
                    fn inlined(argument: u64) -> u64 { work(argument, SALT) }
                    fn plain(argument: u64) -> u64 { function(argument) }
                    fn closure(argument: u64) -> u64 { function(argument) }
                    fn wrapped(argument: u64) -> u64 { function(argument) }
                    fn scoped(argument: u64) -> u64 { function(argument) }
                    fn elsewhere(argument: u64) -> u64 { function(argument) }
                }
            }
            use points::slots;

            /// A path to this copy, set up.
            pub(super) fn path(path: Path) -> Box<dyn Call> {
                let salt = if path.is_replaced() { !SALT } else { SALT };
                let expected = work(1, salt);
                let layers = |layers| Setting { layers, ..Setting::default() };
                let unset = Setting::default;
                match path {
                    Path::Direct => Box::new(Timed::new(unset(), expected, function)),
                    Path::SlotUnpatched => Box::new(Timed::new(unset(), expected, points::unpatched)),
                    Path::DirectInlined => {
                        Box::new(Timed::new(unset(), expected, |argument| work(argument, SALT)))
                    }
                    Path::SlotUnpatchedInlined => Box::new(Timed::new(unset(), expected, points::inlined)),
                    Path::FnPointer => {
                        let pointer = black_box(other as fn(u64) -> u64);
                        Box::new(Timed::new(unset(), expected, move |argument| pointer(argument)))
                    }
                    Path::SlotFn => {
                        let setting = layers(vec![slots::plain.push_fn(other)]);
                        Box::new(Timed::new(setting, expected, points::plain))
                    }
                    Path::BoxedClosure => Box::new(Timed::new(unset(), expected, |argument| {
                        BOXED.get_or_init(capturing)(argument)
                    })),
                    Path::SlotClosure => {
                        let setting = layers(vec![slots::closure.push(capturing())]);
                        Box::new(Timed::new(setting, expected, points::closure))
                    }
                    Path::SlotWrap => {
                        let below = slots::wrapped.push(capturing());
                        let above = slots::wrapped
                            .wrap(|next| Box::new(move |argument| next.call(|below| below(argument))));
                        let setting = layers(vec![above, below]);
                        Box::new(Timed::new(setting, expected, points::wrapped))
                    }
                    Path::SlotScoped => {
                        let inside = Some(scope(slots::scoped.with(capturing())));
                        let setting = Setting { inside, ..Setting::default() };
                        Box::new(Timed::new(setting, expected, points::scoped))
                    }
                    Path::SlotScopeElsewhere => {
                        let elsewhere = Some(Elsewhere::inside(slots::elsewhere.with(capturing())));
                        let setting = Setting { elsewhere, ..Setting::default() };
                        Box::new(Timed::new(setting, expected, points::elsewhere))
                    }
                    Path::FailRsIdle => Box::new(Timed::new(unset(), expected, with_fail_point)),
                }
            }
        }
    };
}

copy!(first, 0x9E37_79B9_7F4A_7C15);
copy!(second, 0xC2B2_AE3D_27D4_EB4F);
copy!(third, 0x1656_67B1_9E37_79F9);
copy!(fourth, 0x27D4_EB2F_1656_67C5);
copy!(fifth, 0x8523_5F1D_3C6E_F372);

fn scope(replaced: Override) -> Scope {
    Scope::new([replaced]).expect("one function is not there twice")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_reaches_its_function_in_every_copy() {
        for path in Path::ALL {
            // Each asserts on being made that it reaches what it is to measure.
            for copy in of(path) {
                assert_eq!(copy.setting().inside.is_some(), path == Path::SlotScoped);
                assert_eq!(copy.setting().elsewhere.is_some(), path == Path::SlotScopeElsewhere);
            }
        }
    }

    #[test]
    fn what_a_call_gives_depends_on_all_of_its_argument() {
        let bits: u64 =
            (0..64).map(|bit| work(7, 3) ^ work(7 ^ (1 << bit), 3)).fold(0, |all, bits| all | bits);
        assert_eq!(bits, u64::MAX);
    }
}
