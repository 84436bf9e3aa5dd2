//! Events that borrow: a type with a lifetime of its own, published through a dispatcher that outlives it.
//!
//! Owns one cast. A dispatcher is `'static` in its event type, and `View<'a>` is not; a [`Lent`] is the view with its
//! lifetime put aside, which gives it back only as "some lifetime that you cannot choose".

use std::fmt;

/// A family of types, one for each lifetime: `View` stands for `View<'a>`.
///
/// # Examples
/// See [`Lent`].
pub trait Shape: 'static {
    /// The type at one lifetime.
    type View<'a>;
}

/// A borrowed view on its way to subscribers. Costs nothing: a reference that is looked at differently.
///
/// # Examples
/// ```
/// use signalpost::{Dispatcher, Lent, Shape};
///
/// struct Line<'a> { number: usize, text: &'a str }
/// enum Lines {}
/// impl Shape for Lines { type View<'a> = Line<'a>; }
///
/// static LINES: Dispatcher<Lent<Lines>> = Dispatcher::new();
/// let _sub = LINES.subscribe(|line| line.with(|line| {
///     if line.text.is_empty() { Err(format!("line {} is empty", line.number)) } else { Ok(()) }
///         .map_err(Into::into)
/// }));
/// let read = String::from("borrowed from here");
/// assert!(LINES.publish(Lent::new(&Line { number: 1, text: &read })).is_ok());
/// assert!(LINES.publish(Lent::new(&Line { number: 2, text: "" })).is_err());
/// ```
#[repr(transparent)]
pub struct Lent<S: Shape>(S::View<'static>);

impl<S: Shape> Lent<S> {
    /// Lends a view for as long as the reference lives.
    #[inline(always)]
    pub fn new<'r>(view: &'r S::View<'_>) -> &'r Self {
        let view: *const S::View<'_> = view;
        // SAFETY: transparent over a type that differs in a lifetime only, so of the same layout; the reference is not
        // made to live longer. The 'static in the field is never shown: `with` takes it back to any lifetime.
        unsafe { &*view.cast::<Self>() }
    }

    /// Hands out the view. `f` must do with any lifetime, so it can keep nothing borrowed from the view, and an
    /// invariant view cannot be given anything shorter-lived.
    #[inline(always)]
    pub fn with<R>(&self, f: impl for<'v> FnOnce(&S::View<'v>) -> R) -> R {
        f(&self.0)
    }
}

impl<S: Shape> fmt::Debug for Lent<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}
