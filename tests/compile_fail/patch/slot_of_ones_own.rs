//! Slots alone are slots.
use signalpost::patch::{AnySlot, Layer, Override, Replacement};
use std::any::TypeId;

struct Mine;
impl AnySlot for Mine {
    fn module(&self) -> &'static str { "mine" }
    fn name(&self) -> &'static str { "mine" }
    fn signature(&self) -> &'static str { "fn()" }
    fn is_patched(&self) -> bool { false }
    fn signature_id(&self) -> TypeId { TypeId::of::<Mine>() }
    fn push_any(&'static self, _: &Replacement) -> Option<Layer> { None }
    fn with_any(&'static self, _: &Replacement) -> Option<Override> { None }
}

fn main() {}
