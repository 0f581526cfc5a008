//! Text in a terminal: tables, aligned columns, and data that cannot drive the terminal.

use std::fmt::Display;
use std::io::{Write, stdout};

use anyhow::Result;
use unicode_width::UnicodeWidthStr;

/// Prints a result. Fails if the reader, such as `head`, has ended; `println!` would panic.
pub(crate) fn print_line(text: impl Display) -> Result<()> {
    writeln!(stdout(), "{text}")?;
    Ok(())
}

/// Data must neither move the cursor nor change the terminal.
pub(crate) mod clean {
    /// Returns the text with every character that does not print replaced.
    pub(crate) fn text(text: &str) -> String {
        text.chars().map(character).collect()
    }

    /// Returns the character, or U+FFFD if it does not print.
    pub(crate) fn character(character: char) -> char {
        if is_printable(character) { character } else { '\u{FFFD}' }
    }

    /// Whether a character prints: it is neither a control or format character, nor unassigned, nor
    /// a space other than U+0020. Debug output escapes exactly these, and quotes and backslashes.
    fn is_printable(character: char) -> bool {
        if character.is_ascii() {
            return !character.is_ascii_control();
        }
        // A combining mark at the beginning of a string would be escaped as well.
        let mut text = String::from("a");
        text.push(character);
        text.escape_debug().count() == 2
    }
}

/// Returns the columns that a text takes in a terminal: ideographs take two, combining marks none.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// On which side of a cell its text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Returns the text filled up with spaces.
pub(crate) fn pad(text: &str, to: usize, align: Align) -> String {
    let spaces = " ".repeat(to.saturating_sub(width(text)));
    match align {
        Align::Left => text.to_owned() + &spaces,
        Align::Right => spaces + text,
    }
}

/// Returns a table with its title, ready to be printed.
pub(crate) fn table(title: &str, columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let header = columns.iter().map(|(name, _)| clean::text(name)).collect();
    let cells: Vec<Vec<String>> = std::iter::once(header)
        .chain(rows.iter().map(|row| row.iter().map(|cell| clean::text(cell)).collect()))
        .collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| cells.iter().map(|row| width(&row[column])).max().unwrap_or(0))
        .collect();
    let mut lines = vec![String::new(), clean::text(title)];
    for (index, row) in cells.iter().enumerate() {
        let padded: Vec<_> = row
            .iter()
            .zip(&widths)
            .zip(columns)
            .map(|((cell, to), (_, align))| pad(cell, *to, *align))
            .collect();
        lines.push(format!("  {}", padded.join("  ")).trim_end().to_owned());
        if index == 0 {
            let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
            lines.push(format!("  {}", rules.join("  ")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_does_not_drive_the_terminal() {
        assert_eq!(clean::text("a\x1b[2Jb\n"), "a\u{FFFD}[2Jb\u{FFFD}");
        assert_eq!(clean::text("a\u{202E}b\u{A0}"), "a\u{FFFD}b\u{FFFD}");
        assert_eq!(clean::text("“茶” e\u{301} 'x' \\ –"), "“茶” e\u{301} 'x' \\ –");
    }

    #[test]
    fn ideographs_take_two_columns_and_combining_marks_none() {
        assert_eq!((width("茶碗"), width("é"), width("e\u{301}")), (4, 1, 1));
        assert_eq!(pad("茶", 4, Align::Left), "茶  ");
        assert_eq!(pad("7", 3, Align::Right), "  7");
    }

    #[test]
    fn a_table_is_aligned() {
        let columns = [("name", Align::Left), ("n", Align::Right)];
        let rows =
            [vec!["茶".to_owned(), "1".to_owned()], vec!["abcdef".to_owned(), "23".to_owned()]];
        let expected = "\ntitle\n  name     n\n  ------  --\n  茶       1\n  abcdef  23";
        assert_eq!(table("title", &columns, &rows), expected);
    }
}
