//! The macro that declares patch points.

/// Declares modules of functions that can be replaced at run time.
///
/// ```
/// use signalpost::patch::patch_points;
///
/// patch_points! {
///     /// What the time is, and waiting for it.
///     pub mod time {
///         use std::time::Duration;
///         use std::time::Instant;
///
///         /// The time now.
///         fn now() -> Instant { Instant::now() }
///         /// Waits.
///         fn sleep(d: Duration) { std::thread::sleep(d) }
///     }
/// }
///
/// fn main() {
///     let before = time::now();
///     let _layer = time::slots::sleep.push(Box::new(|_| ()));
///     time::sleep(std::time::Duration::from_secs(3600));
///     assert!(before.elapsed().as_secs() < 3600);
/// }
/// ```
///
/// Of a module `time` with a function `sleep` it makes:
///
/// | name | is |
/// |---|---|
/// | `time::sleep` | the function that others call; it goes through the slot |
/// | `time::original::sleep` | the function as it was written, whatever replaces it; in its body the others of the module are originals too |
/// | `time::slots::sleep` | its [`Slot`](crate::Slot), a `static` |
/// | `time::sig::sleep` | a type, the function's as a trait object; and a function, which makes a [`Replacement`](crate::Replacement) of a closure |
/// | `time::plain::sleep` | makes a `Replacement` of a function that captures nothing: calls cost less |
/// | `time::MODULE` | the [`Module`](crate::Module), a `static`, whose name is `"time"`, or what `as` says: `pub mod time as "acme.time"` |
///
/// Functions take and return what they like, borrowed too: `fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>>`.
/// A method is a function whose first argument is the receiver; an asynchronous one returns a
/// [`BoxFuture`](crate::BoxFuture). Lifetimes may be named: `fn longest<'a>(a: &'a str, b: &'a str) -> &'a str`. Arguments
/// are plain names. There are no type parameters and no `impl Trait`, since a slot has one type; and no `!`. Attributes of a
/// function are those of the public one alone: what is to hold for all that is made of it, a `cfg` or a lint level, is an
/// attribute of the module.
///
/// Names come from where the macro is called, by `use super::*`, and from the `use` lines in the module, which begin with a name.
/// Inside a function's body `super` is not that function, so what such a module needs is to be in its `use` lines.
#[macro_export]
macro_rules! patch_points {
    ($(
        $(#[$about_module:meta])*
        $visibility:vis mod $module:ident $(as $name:literal)? {
            $(use $first:tt $(:: $next:tt)* $(as $alias:ident)?;)*
            $(
                $(#[$about:meta])*
                $(pub)? fn $function:ident $(<$($lifetime:lifetime),+ $(,)?>)? ($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
            )*
        }
    )*) => {$(
        $(#[$about_module])*
        $visibility mod $module {
            #[allow(unused_imports)]
            use super::*;
            $(#[allow(unused_imports)] use $first $(:: $next)* $(as $alias)?;)*

            $(
                $(#[$about])*
                #[inline]
                pub fn $function $(<$($lifetime),+>)? ($($argument: $type),*) $(-> $result)? {
                    match slots::$function.path() {
                        $crate::Path::Original => original::$function($($argument),*),
                        $crate::Path::Plain(function) => function($($argument),*),
                        $crate::Path::Look => slots::$function.call(move |function| function($($argument),*)),
                    }
                }
            )*

            /// The functions as they were written, whatever replaces them.
            pub mod original {
                #[allow(unused_imports)]
                use super::super::*;
                $(#[allow(unused_imports)] use $first $(:: $next)* $(as $alias)?;)*
                $(
                    #[doc = concat!("`", stringify!($function), "`, as it was written.")]
                    #[inline]
                    pub fn $function $(<$($lifetime),+>)? ($($argument: $type),*) $(-> $result)? $body
                )*
            }

            /// What the functions are as types; and replacements for them.
            #[allow(non_camel_case_types)]
            pub mod sig {
                #[allow(unused_imports)]
                use super::super::*;
                $(#[allow(unused_imports)] use $first $(:: $next)* $(as $alias)?;)*
                $(
                    #[doc = concat!("What `", stringify!($function), "` is.")]
                    pub type $function = dyn $(for<$($lifetime),+>)? Fn($($type),*) $(-> $result)? + Send + Sync;

                    #[doc = concat!("A replacement for `", stringify!($function), "`.")]
                    pub fn $function(
                        replacement: impl $(for<$($lifetime),+>)? Fn($($type),*) $(-> $result)? + Send + Sync + 'static,
                    ) -> $crate::Replacement {
                        $crate::__replacement::<$function, $(for<$($lifetime),+>)? fn($($type),*) $(-> $result)?>(
                            &super::slots::$function, ::std::sync::Arc::new(replacement), None,
                        )
                    }
                )*
            }

            /// Replacements that are functions which capture nothing.
            pub mod plain {
                #[allow(unused_imports)]
                use super::super::*;
                $(#[allow(unused_imports)] use $first $(:: $next)* $(as $alias)?;)*
                $(
                    #[doc = concat!("A replacement for `", stringify!($function), "`.")]
                    pub fn $function(replacement: $(for<$($lifetime),+>)? fn($($type),*) $(-> $result)?) -> $crate::Replacement {
                        $crate::__replacement::<super::sig::$function, $(for<$($lifetime),+>)? fn($($type),*) $(-> $result)?>(
                            &super::slots::$function, ::std::sync::Arc::new(replacement), Some(replacement),
                        )
                    }
                )*
            }

            /// The slots that the functions are called through.
            #[allow(non_upper_case_globals)]
            pub mod slots {
                #[allow(unused_imports)]
                use super::super::*;
                $(#[allow(unused_imports)] use $first $(:: $next)* $(as $alias)?;)*
                $(
                    #[doc = concat!("The slot of `", stringify!($function), "`.")]
                    pub static $function: $crate::Slot<
                        dyn $(for<$($lifetime),+>)? Fn($($type),*) $(-> $result)? + Send + Sync,
                        $(for<$($lifetime),+>)? fn($($type),*) $(-> $result)?,
                    > = $crate::Slot::new(
                        super::__NAME,
                        stringify!($function),
                        concat!(
                            $("for<", stringify!($($lifetime),+), "> ",)?
                            stringify!(fn($($type),*) $(-> $result)?)
                        ),
                        &super::original::$function,
                        |function| ::std::sync::Arc::new(function),
                    );
                )*
            }

            /// All of them, by name.
            pub static MODULE: $crate::Module =
                $crate::Module::new(__NAME, &[$(&slots::$function),*]);
            #[doc(hidden)]
            const __NAME: &str = $crate::__module_name!($module $($name)?);
        }
    )*};
}

/// What a module is called.
#[doc(hidden)]
#[macro_export]
macro_rules! __module_name {
    ($module:ident) => {
        stringify!($module)
    };
    ($module:ident $name:literal) => {
        $name
    };
}
