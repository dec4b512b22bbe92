//! How the program speaks on a terminal: headings, notes, two columns. Colours appear only where a person looks, and
//! never carry a meaning alone.

use core::fmt::{Display, Write as _};

use anstyle::{AnsiColor, Style};

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();

/// Width of a column of [`beside`] in characters, where the terminal is wide enough or there is none.
const COLUMN: usize = 62;
/// The least that it shrinks to.
const LEAST_COLUMN: usize = 34;
/// What stands around the two columns: the indent and the rule between.
const AROUND: usize = 4 + 3;

/// A line to standard output; colours are dropped when it is no terminal.
pub fn line(text: impl Display) {
    anstream::println!("{text}");
}

/// A numbered step begins.
pub fn step(number: usize, of: usize, title: &str) {
    anstream::println!("\n{HEADING}[{number:>2}/{of}] {title}{HEADING:#}");
}

/// What a party did.
pub fn did(party: &str, what: impl Display) {
    anstream::println!("  {QUIET}{party:>8}{QUIET:#}  {what}");
}

/// A result that is as it should be.
pub fn good(what: impl Display) {
    anstream::println!("  {GOOD}{:>8}{GOOD:#}  {what}", "OK");
}

/// A refusal that is as it should be.
pub fn refused(what: impl Display) {
    anstream::println!("  {BAD}{:>8}{BAD:#}  {what}", "REFUSED");
}

/// Two texts side by side, cut into lines that fit: what was said, and what a bystander saw of it.
pub fn beside(left_title: &str, left: &str, right_title: &str, right: &str) {
    let width = column();
    let (left, right) = (wrap(left, width), wrap(right, width));
    anstream::println!("    {QUIET}{left_title:<width$} │ {right_title}{QUIET:#}");
    for at in 0..left.len().max(right.len()) {
        let empty = String::new();
        let (l, r) = (left.get(at).unwrap_or(&empty), right.get(at).unwrap_or(&empty));
        anstream::println!("    {l:<width$} {QUIET}│ {r}{QUIET:#}");
    }
}

/// Half of the terminal, within reason.
fn column() -> usize {
    let columns = terminal_size::terminal_size().map_or(usize::MAX, |(width, _)| usize::from(width.0));
    (columns.saturating_sub(AROUND) / 2).clamp(LEAST_COLUMN, COLUMN)
}

/// Cuts a text at its line ends, and long lines at `width`, shortening what is longer than three such lines.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let characters: Vec<char> = line.chars().collect();
        let mut chunks = characters.chunks(width.max(1));
        lines.push(chunks.next().unwrap_or_default().iter().collect());
        let rest: Vec<_> = chunks.collect();
        for (index, chunk) in rest.iter().enumerate() {
            let mut part: String = chunk.iter().collect();
            if index == 1 && rest.len() > 2 {
                part.truncate(
                    part.char_indices()
                        .nth(width.saturating_sub(28))
                        .map_or(part.len(), |(at, _)| at),
                );
                let left_out = rest.iter().skip(2).map(|chunk| chunk.len()).sum::<usize>();
                let _ = write!(part, "… ({left_out} more characters)");
                lines.push(part);
                break;
            }
            lines.push(part);
        }
    }
    lines
}

/// Digits of a PAN as a person may see them in a log or a list: the first six and the last four.
#[must_use]
pub fn mask_pan(pan: &str) -> String {
    let hidden = pan.len().saturating_sub(10);
    pan.chars()
        .enumerate()
        .map(|(at, digit)| if (6..6 + hidden).contains(&at) { '*' } else { digit })
        .collect()
}

/// An error and its causes in one line. A cause that the text before it ends with already is not said again.
#[must_use]
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().trim().replace('\n', ", ");
        if line.is_empty() {
            line = text;
        } else if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// Octets in lower-case hexadecimal.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(
        String::with_capacity(octets.len().saturating_mul(2)),
        |mut text, octet| {
            let _ = write!(text, "{octet:02x}");
            text
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_and_say_so() {
        assert_eq!(wrap("abc\nde", 10), ["abc", "de"]);
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        let cut = wrap(&"x".repeat(500), 60);
        assert_eq!(cut.len(), 3);
        assert!(cut[2].ends_with("more characters)"), "{}", cut[2]);
        assert!(cut.iter().all(|line| line.chars().count() <= 60), "{cut:?}");
    }

    #[test]
    fn a_cause_is_said_once_and_in_one_line() {
        let cause = anyhow::anyhow!("no such\nfile");
        let error = cause.context("reading x: no such, file").context("cannot open x");
        assert_eq!(one_line(&error), "cannot open x: reading x: no such, file");
    }

    #[test]
    fn pan_is_masked() {
        assert_eq!(mask_pan("9999990000000017"), "999999******0017");
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }
}
