//! Nor returned from where it is shown.
use signalpost::{Lent, Shape};

enum Lines {}
impl Shape for Lines {
    type View<'a> = &'a str;
}

fn main() {
    let text = String::from("text");
    let kept: &str = Lent::<Lines>::new(&text.as_str()).with(|line| *line);
    drop(text);
    println!("{kept}");
}
