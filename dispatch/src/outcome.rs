//! What a subscriber may return.

/// What a subscriber returns: `()`, `Result<(), X>`, or `!` (it never returns, as in a test's `panic!`).
///
/// Only `Err` stops an event; with `()` the check compiles away where the subscriber is called, and with
/// `X = Infallible` in the whole walk. Sealed by its shape: there is nothing else that a publisher could do with a value.
#[diagnostic::on_unimplemented(
    message = "a subscriber cannot return `{Self}`",
    label = "returns `{Self}`",
    note = "it returns `()`, or `Result<(), X>` with the `X` that stops events here, or never"
)]
pub trait Outcome<X>: sealed::Sealed<X> {
    /// The value as the dispatcher wants it.
    fn into_result(self) -> Result<(), X>;
}

mod sealed {
    pub trait Sealed<X> {}
    impl<X> Sealed<X> for () {}
    impl<X> Sealed<X> for Result<(), X> {}
    impl<X> Sealed<X> for super::Never {}
}

impl<X> Outcome<X> for () {
    #[inline(always)]
    fn into_result(self) -> Result<(), X> {
        Ok(())
    }
}

impl<X> Outcome<X> for Result<(), X> {
    #[inline(always)]
    fn into_result(self) -> Result<(), X> {
        self
    }
}

/// The type `!`, which stable Rust lets one name only as what a function returns.
type Never = <fn() -> ! as Returns>::Output;

/// What a function pointer returns.
pub trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl<X> Outcome<X> for Never {
    #[inline(always)]
    fn into_result(self) -> Result<(), X> {
        self
    }
}
