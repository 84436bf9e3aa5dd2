//! What has been patched cannot be vetoed.
use signalpost::BusStop;
use signalpost::patch::{DidPatchModule, Patcher, WillPatchModule};

fn main() {
    let patcher = Patcher::new();
    let bus = patcher.bus();
    let _may = bus.topic::<WillPatchModule>().subscribe(|_: &WillPatchModule| Err::<(), _>(BusStop::veto("do not")));
    let _may_not = bus.topic::<DidPatchModule>().subscribe(|_: &DidPatchModule| Err::<(), _>(BusStop::veto("do not")));
}
