//! What the types of slots, layers and scopes are: `Send`, `Sync`, `Unpin`, `Clone`, `Debug`.
//!
//! A change here is a change of the public interface.

use signalpost::patch::{
    AnySlot, BoxFuture, Entered, Layer, Module, Next, Override, PatchError, Replacement, Scope, Scoped, Slot,
    Stray, UndoError, patch_points,
};
use std::fmt::Debug;
use std::marker::PhantomPinned;
use std::rc::Rc;

/// Whether a type implements a trait: an inherent constant, where there is one, wins over a trait's.
macro_rules! implements {
    ($type:ty: $bound:path) => {{
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "only where the type does not implement it")]
        trait Otherwise {
            const YES: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "only where it does")]
        impl<T: ?Sized + $bound> Probe<T> {
            const YES: bool = true;
        }
        <Probe<$type>>::YES
    }};
}

/// `Send`, `Sync`, `Unpin`, as 1s and 0s.
macro_rules! traits {
    ($type:ty) => {
        [implements!($type: Send), implements!($type: Sync), implements!($type: Unpin)].map(u8::from)
    };
}

type Text = dyn Fn(&str) -> Rc<str> + Send + Sync;
type Plain = fn(&str) -> Rc<str>;

#[test]
fn the_probe_tells_yes_from_no() {
    assert_eq!([traits!(u32), traits!(Rc<u32>)], [[1, 1, 1], [0, 0, 1]]);
    assert_eq!([traits!(PhantomPinned), traits!(std::cell::Cell<u32>)], [[1, 1, 0], [1, 0, 1]]);
}

#[test]
fn handles_are_used_on_any_thread_whatever_the_signature_is() {
    assert_eq!([traits!(Slot<Text, Plain>), traits!(Next<Text, Plain>)], [[1; 3]; 2]);
    assert_eq!([traits!(dyn AnySlot)[1], traits!(&'static dyn AnySlot)[0]], [1, 1]);
    assert_eq!([traits!(Layer), traits!(Scope), traits!(Override)], [[1; 3]; 3]);
    assert_eq!([traits!(Replacement), traits!(Module)], [[1; 3]; 2]);
}

#[test]
fn a_guard_stays_on_its_thread() {
    assert_eq!(traits!(Entered), [0, 0, 1]);
}

#[test]
fn a_future_in_a_scope_is_as_free_as_it_is() {
    assert_eq!(traits!(Scoped<std::future::Ready<u32>>), [1, 1, 1]);
    assert_eq!(traits!(Scoped<std::future::Ready<Rc<u32>>>), [0, 0, 1]);
    assert_eq!(traits!(Scoped<PhantomPinned>), [1, 1, 0]);
    assert_eq!(traits!(BoxFuture<'static, Rc<u32>>)[0], 1);
}

#[test]
fn values_are_free() {
    assert_eq!([traits!(UndoError), traits!(PatchError), traits!(Stray)], [[1; 3]; 3]);
    assert!(implements!(UndoError: Copy) && implements!(UndoError: std::error::Error));
    assert!(implements!(PatchError: std::error::Error) && implements!(Stray: Clone));
}

#[test]
fn one_handle_is_one_layer_and_clones_of_a_scope_are_the_scope() {
    assert!(!implements!(Layer: Clone) && !implements!(Override: Clone) && !implements!(Entered: Clone));
    assert!(implements!(Scope: Clone) && implements!(Replacement: Clone));
}

#[test]
fn everything_shows_itself() {
    assert!(implements!(Scoped<PhantomPinned>: Debug));
    patch_points! { mod text as "acme.text" { fn trim(text: &str) -> &str { text.trim() } } }
    assert_eq!(
        format!("{:?}", text::slots::trim),
        r#"Slot { module: "acme.text", name: "trim", signature: "fn(&str) -> &str", layers: 0, .. }"#
    );
    let mut shown = String::new();
    let layer = text::slots::trim.wrap(|next| {
        shown = format!("{next:?}");
        Box::new(move |text| next.call(|below| below(text)))
    });
    assert_eq!((shown.as_str(), text::trim(" x ")), ("Next(acme.text::trim)", "x"));
    assert_eq!(format!("{layer:?}"), "Layer(acme.text::trim 1)");
    assert!(format!("{:?}", text::slots::trim).contains("layers: 1"));
    let scope = Scope::new([text::slots::trim.with(Box::new(|text| text))]).unwrap();
    assert_eq!(format!("{scope:?} {:?}", scope.enter()), r#"Scope["acme.text::trim"] Entered"#);
    assert_eq!(format!("{:?}", scope.wrap(async {})), r#"Scoped(Scope["acme.text::trim"])"#);
    assert!(format!("{:?}", text::MODULE).contains("acme.text::trim: fn(&str) -> &str"));
}
