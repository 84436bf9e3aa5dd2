//! Changes are recorded inside the edit only.
use signalpost::{Dispatcher, Edit};

fn main() {
    let post: Dispatcher<u32, u32> = Dispatcher::new();
    let mut kept: Option<&mut Edit<'_, u32, u32>> = None;
    post.edit(|edit| kept = Some(edit));
    kept.unwrap().clear();
}
