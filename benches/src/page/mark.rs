//! How one series is told from another, everywhere on a page: by colour, by the shape of its points, by its number.
//!
//! Owns the shapes and the legend. Eight colours and seven shapes: 56 series are told apart by the two together, any seven neighbours
//! by shape alone. The colours themselves are in `page.css`.

use crate::watch::words::plain;
use maud::{Markup, html};

/// Colours that `page.css` has.
pub const COLOURS: usize = 8;
const SHAPES: usize = 7;

/// One series by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub usize);

impl Mark {
    /// The class that gives it its colour.
    pub fn class(self) -> String {
        format!("s{}", self.0 % COLOURS)
    }

    /// Its point, about a place in a drawing.
    pub fn shape(self, x: f64, y: f64) -> Markup {
        let d = match self.0 % SHAPES {
            0 => format!("M{:.1} {y:.1}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x - 4.0),
            1 => format!("M{:.1} {:.1}h7v7h-7z", x - 3.5, y - 3.5),
            2 => format!("M{x:.1} {:.1}l4.6 8h-9.2z", y - 5.0),
            3 => format!("M{x:.1} {:.1}l4.8 4.8l-4.8 4.8l-4.8 -4.8z", y - 4.8),
            4 => format!("M{x:.1} {:.1}l4.6 -8h-9.2z", y + 5.0),
            5 => format!("M{:.1} {:.1}h2.6v3h3v2.6h-3v3h-2.6v-3h-3v-2.6h3z", x - 1.3, y - 4.3),
            _ => format!("M{:.1} {:.1}h9v3.4h-9z", x - 4.5, y - 1.7),
        };
        html! { path.point d=(d) {} }
    }
}

/// A line of a legend: the series' sample, its number, its name.
pub fn legend(names: &[impl AsRef<str>]) -> Markup {
    html! {
        ul.legend {
            @for (place, name) in names.iter().enumerate() {
                li class=(Mark(place).class()) {
                    svg.swatch viewBox="0 0 28 12" aria-hidden="true" {
                        line.curve x1="1" x2="27" y1="6" y2="6" {}
                        (Mark(place).shape(14.0, 6.0))
                    }
                    @if names.len() > 1 { b { (place + 1) } " " }
                    (plain(name.as_ref()))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_six_series_look_different_and_seven_neighbours_in_black_and_white_too() {
        let looks: std::collections::HashSet<_> =
            (0..56).map(|n| (Mark(n).class(), Mark(n).shape(9.0, 9.0).into_string())).collect();
        assert_eq!(looks.len(), 56);
        let shapes: std::collections::HashSet<_> =
            (0..7).map(|n| Mark(n).shape(9.0, 9.0).into_string()).collect();
        assert_eq!(shapes.len(), 7);
    }
}
