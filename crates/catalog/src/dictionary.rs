//! The data dictionary: the catalog as Markdown.

use std::fmt::Write as _;

use crate::table::{Catalog, CatalogView, HiveColumn, Table};

/// Returns the data dictionary: each table and view with its description, key and columns.
pub fn dictionary(catalog: &Catalog) -> String {
    let mut text = String::from("# Data dictionary\n");
    for (database, tables) in &catalog.databases {
        for (name, table) in tables {
            let _ = write!(text, "\n## {database}.{name}\n\n{}\n", table.description);
            write_table(&mut text, table);
        }
    }
    for (name, view) in &catalog.views {
        let _ = write!(text, "\n## gold.{name}\n\nA view. {}\n", view.description);
        write_view(&mut text, view);
    }
    text
}

fn write_table(text: &mut String, table: &Table) {
    if !table.key.is_empty() {
        let repeats =
            if table.repeats { " Rows may repeat: one row of each key counts." } else { "" };
        let _ = write!(text, "\nKey: {}.{repeats}\n", table.key.join(", "));
    }
    let keys = table
        .partition_keys
        .iter()
        .map(|key| (&key.name, key.key_type, format!("{} Partition key.", key.description)));
    let columns = table.columns.iter().map(|column| {
        let personal = if table.personal.contains(&column.name) { " Personal." } else { "" };
        let (name, column_type, description) = row(column);
        (name, column_type, format!("{description}{personal}"))
    });
    write_columns(text, columns.chain(keys));
}

fn write_view(text: &mut String, view: &CatalogView) {
    let _ = write!(text, "\nKey: {}.\n", view.key.join(", "));
    write_columns(text, view.columns.iter().map(row));
}

fn row(column: &HiveColumn) -> (&String, &str, String) {
    (&column.name, &column.column_type, column.description.clone())
}

fn write_columns<'a>(
    text: &mut String,
    columns: impl Iterator<Item = (&'a String, &'a str, String)>,
) {
    text.push_str("\n| column | type | description |\n|---|---|---|\n");
    for (name, column_type, description) in columns {
        // A bar would end the cell.
        let description = description.replace('|', "\\|");
        let _ = writeln!(text, "| `{name}` | {column_type} | {description} |");
    }
}
