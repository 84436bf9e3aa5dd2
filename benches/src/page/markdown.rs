//! `lab report --md`: Markdown for a pull request.
//!
//! Owns how Markdown is written. What comes from a file is a code span or escaped: no markup, no mention of a person, no link.
//! A comment on GitHub holds 65,536 characters; tables that would not fit are left out, and that is said.

use super::{
    content::{Report, Standing},
    source,
    tables::{self, Grid},
    words,
};
use crate::watch::words::plain;
use std::fmt::Write;

/// Characters that tables may fill.
const ROOM: usize = 60_000;
/// Rows of one table, at most.
const ROWS: usize = 200;

/// The report.
pub fn written(report: &Report) -> String {
    let names: Vec<_> = report.names().map(code).collect();
    let mut text = format!("## lab report: {}\n\n**{}**\n\n", words::listed(&names), words::counts(report));
    for finding in words::findings(report) {
        line(&mut text, &format!("- {}", escaped(&finding)));
    }
    if !report.remarks.is_empty() {
        text += "\n**⚠ Read with care**\n\n";
        for remark in &report.remarks {
            line(&mut text, &format!("- {}", escaped(remark)));
        }
    }
    let mut left_out = 0;
    for chapter in &report.chapters {
        for grid in tables::overview(report, chapter) {
            let table = format!(
                "\n### {}: {}\n\n{}",
                escaped(words::title(chapter)),
                escaped(&grid.title),
                table(&grid)
            );
            match text.len() + table.len() <= ROOM {
                true => text += &table,
                false => left_out += 1,
            }
        }
    }
    if left_out > 0 {
        line(
            &mut text,
            &format!(
                "\n{left_out} tables left out: a comment holds 65,536 characters. `--html` has them all."
            ),
        );
    }
    text += "\nMedians of the repeats; **★** is the best of those that can be subscribed to, = level with it: their repeats overlap.\n";
    text + &machines(report)
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes text");
}

fn table(grid: &Grid) -> String {
    let mut text = String::new();
    let rule = (0..grid.head.len()).map(|place| if place < grid.names { "---" } else { "---:" });
    let head: Vec<_> = grid.head.iter().map(|head| escaped(head)).collect();
    line(&mut text, &format!("| {} |", head.join(" | ")));
    line(&mut text, &format!("| {} |", rule.collect::<Vec<_>>().join(" | ")));
    for row in grid.rows.iter().take(ROWS) {
        let cells = row.iter().enumerate().map(|(place, cell)| match cell.standing {
            _ if place == 0 => code(&cell.text),
            Some(Standing::Best) => format!("**{} ★**", escaped(&cell.text)),
            Some(Standing::Level) => format!("{} =", escaped(&cell.text)),
            _ => escaped(&cell.text),
        });
        line(&mut text, &format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
    }
    if grid.rows.len() > ROWS {
        line(&mut text, &format!("\nThe first {ROWS} of {} rows.", grid.rows.len()));
    }
    text
}

/// Folded away: what it was measured on.
fn machines(report: &Report) -> String {
    let mut text = String::from("\n<details>\n<summary>Measured on</summary>\n\n");
    let names = report.names().map(code).collect::<Vec<_>>();
    line(&mut text, &format!("| file | {} |", names.join(" | ")));
    line(&mut text, &format!("|{}", " --- |".repeat(names.len() + 1)));
    let differing = source::differing(&report.sources);
    let all: Vec<_> = report.sources.iter().map(|source| source::facts(&source.saved.machine)).collect();
    for place in 0..all.first().map_or(0, |facts| facts.len()) {
        let name = all[0][place].0;
        let mark = if differing.iter().any(|(fact, _)| *fact == name) { " (differs)" } else { "" };
        let values: Vec<_> = all.iter().map(|facts| code(&facts[place].1)).collect();
        line(&mut text, &format!("| {name}{mark} | {} |", values.join(" | ")));
    }
    let commands =
        report.sources.iter().map(|source| code(&format!("lab {}", source.saved.command.join(" "))));
    line(&mut text, &format!("| command | {} |", commands.collect::<Vec<_>>().join(" | ")));
    text + "\n</details>\n"
}

/// Text in a code span, which is safe in a table too.
fn code(text: &str) -> String {
    let text = plain(text).replace('`', "'").replace('|', "\\|");
    if text.trim().is_empty() { String::new() } else { format!("`{text}`") }
}

/// Text that means itself. A mention of a person is broken up by a character that has no width: an escape would not keep it from being
/// one.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '&' => safe += "&amp;",
            '@' | '#' => safe.extend([c, '\u{2060}']),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '~' | '|' | '!' => safe.extend(['\\', c]),
            ':' => safe.push(c),
            _ => safe.push(c),
        }
    }
    // No address becomes a link.
    safe.replace("://", ":\u{2060}//").replace("www.", "www\u{2060}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample::{EVIL, median, report, run, saved, slower};

    #[test]
    fn one_file_is_a_table_by_subscribers() {
        assert_eq!(
            written(&report(vec![saved()])),
            "\
## lab report: `0.json`

**8 figures of 8 cases in 1 file.**

- 1 publisher, median: arc-swap-cache is fastest with 1 subscriber; signalpost with 16.

### 1 publisher: median, ns, by subscribers

| path | 1 | 16 |
| --- | ---: | ---: |
| `raw-loop` | 1.49 | 20.1 |
| `signalpost` | 3.24 | **18.4 ★** |
| `arc-swap-cache` | **1.99 ★** | 20.3 |
| `std-mutex` | 11.1 | 26.0 |

Medians of the repeats; **★** is the best of those that can be subscribed to, = level with it: their repeats overlap.

<details>
<summary>Measured on</summary>

| file | `0.json` |
| --- | --- |
| processor | `Example 9000` |
| cores | `2` |
| system | `linux x86_64, kernel 6.1` |
| compiler | `rustc 1.95.0` |
| commit | `0a4a2e6` |
| profile | `release` |
| flags | `x86_64-unknown-linux-gnu, opt-level 3` |
| barrier | `membarrier` |
| load before | `0.25 tasks wanted a core` |
| command | `lab paths --quick` |

</details>
"
        );
    }

    #[test]
    fn several_files_have_a_column_of_ratios() {
        let text = written(&report(vec![saved(), slower("", 1.5).saved]));
        assert!(text.contains("| path | subscribers | figure | 0.json | 1.json | ratio |"), "{text}");
        assert!(
            text.contains("| `signalpost` | 16 | median, ns | **18.4 ★** | **27.6 ★** | 1.50× |"),
            "{text}"
        );
    }

    #[test]
    fn no_markup_mention_or_link_comes_from_a_file() {
        let mut file = run();
        let evil = format!("{EVIL} https://example.org");
        file.measures.push(median(&format!("{evil}, 16 subscribers, {evil}"), 5.0));
        file.warnings.push(evil.clone());
        file.machine.cpu = evil;
        let text = written(&report(vec![file]));
        let tags: Vec<_> =
            text.match_indices('<').map(|(at, _)| text[at..].split('>').next().unwrap()).collect();
        let outside_code = |text: &str| text.split('`').step_by(2).collect::<String>();
        let outside = outside_code(&text);
        assert!(!outside.contains("<script") && !outside.contains("<img"), "{tags:?}");
        assert!(
            !outside.contains("@someone") && !outside.contains("://") && !outside.contains("#1"),
            "{outside}"
        );
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        for block in text.split("\n\n").filter(|block| block.starts_with('|')) {
            let counts: Vec<_> = block.lines().map(columns).collect();
            assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{block}");
        }
    }

    #[test]
    fn it_fits_into_a_comment() {
        let mut file = saved();
        file.measures = (0..10_000)
            .map(|n| median(&format!("path {}, {} subscribers, way {}", n % 50, n % 7, n % 97), 5.0))
            .collect();
        let text = written(&report(vec![file]));
        assert!(text.len() < 65_536 && text.contains("tables left out") && text.ends_with("</details>\n"));
    }
}
