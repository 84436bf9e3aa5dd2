//! A view that can be changed is given nothing that lives shorter than it.
use signalpost::{Lent, Shape};
use std::cell::Cell;

enum Titles {}
impl Shape for Titles {
    type View<'a> = Cell<&'a str>;
}

fn main() {
    let title = Cell::new("for ever");
    {
        let short = String::from("short");
        Lent::<Titles>::new(&title).with(|title| title.set(&short));
    }
    println!("{}", title.get());
}
