//! The data dictionary: the catalog as Markdown.

use std::fmt::Write as _;

use crate::table::{Catalog, Table};

/// Returns the data dictionary: each table with its description, key and columns.
pub fn dictionary(catalog: &Catalog) -> String {
    let mut text = String::from("# Data dictionary\n");
    for (database, tables) in &catalog.databases {
        for (name, table) in tables {
            let _ = write!(text, "\n## {database}.{name}\n\n{}\n", table.description);
            write_table(&mut text, table);
        }
    }
    text
}

fn write_table(text: &mut String, table: &Table) {
    if !table.key.is_empty() {
        let repeats =
            if table.repeats { " Rows may repeat: one row of each key counts." } else { "" };
        let _ = write!(text, "\nKey: {}.{repeats}\n", table.key.join(", "));
    }
    text.push_str("\n| column | type | description |\n|---|---|---|\n");
    let keys = table
        .partition_keys
        .iter()
        .map(|key| (&key.name, key.key_type, format!("{} Partition key.", key.description)));
    let columns = table.columns.iter().map(|column| {
        let personal = if table.personal.contains(&column.name) { " Personal." } else { "" };
        (&column.name, column.column_type.as_str(), format!("{}{personal}", column.description))
    });
    for (name, column_type, description) in columns.chain(keys) {
        // A bar would end the cell.
        let description = description.replace('|', "\\|");
        let _ = writeln!(text, "| `{name}` | {column_type} | {description} |");
    }
}
