//! Only a scope's subscribers may borrow from the stack.
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let local = String::from("local");
    let borrowed = &local;
    let _sub = post.subscribe(move |_: &u32| println!("{borrowed}"));
}
