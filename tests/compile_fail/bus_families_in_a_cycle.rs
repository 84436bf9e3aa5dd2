//! Families whose traits are each other's supertraits are none.
use signalpost::family;

trait One: Other {}
trait Other: One {}
family!(struct Ones: dyn One = "test.ones");
family!(struct Others: dyn Other = "test.others");

fn main() {}
