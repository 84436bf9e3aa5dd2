//! A thread leaves the scope that it entered itself.
use signalpost::patch::Scope;

fn main() {
    let inside = Scope::new([]).unwrap().enter();
    std::thread::spawn(move || drop(inside));
}
