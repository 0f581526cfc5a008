//! The packaged files of reference tables: a TOML header in `#` lines, then CSV.

use shoplake_index::{ReferenceDeclaration, ReferenceTable};

use crate::definition::Reason;

/// Reads a packaged file.
pub(crate) fn parse(name: &str, text: &str) -> Result<ReferenceTable, Reason> {
    let mut toml = String::new();
    let mut csv = text;
    // Every line of the header is kept, so that a TOML error has the line number of the file.
    while let Some(comment) = csv.strip_prefix('#') {
        let (line, rest) = comment.split_once('\n').unwrap_or((comment, ""));
        toml.push_str(line);
        toml.push('\n');
        csv = rest;
    }
    let declaration: ReferenceDeclaration =
        toml::from_str(&toml).map_err(Reason::ReferenceHeader)?;
    Ok(ReferenceTable::new(name, declaration, csv, toml.lines().count() as u64)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: &str = "\
# description = \"How much an activity counts.\"
# key = [\"shop_id\", \"activity\"]
# columns = { shop_id = \"string\", activity = \"string\", weight = \"decimal(9,4)\" }
shop_id,activity,weight
*,page_view,1
acme,page_view,2.50
";

    fn weights() -> ReferenceTable {
        parse("weights", WEIGHTS).unwrap()
    }

    #[test]
    fn rows_are_rendered_as_a_query() {
        insta::assert_snapshot!(weights().sql(), @r"
        select
            shop_id,
            activity,
            cast(weight as decimal(9,4)) as weight
        from (
            values
                ('*', 'page_view', '1.0000'),
                ('acme', 'page_view', '2.5000')
        ) as reference_rows (shop_id, activity, weight)
        ");
    }

    #[test]
    fn a_table_without_rows_has_columns_of_their_types() {
        insta::assert_snapshot!(weights().with_rows("shop_id,activity,weight\n").unwrap().sql(), @r"
        select
            cast(null as string) as activity,
            cast(null as string) as shop_id,
            cast(null as decimal(9,4)) as weight
        where 1 = 0
        ");
    }

    #[test]
    fn errors_of_a_packaged_file_have_its_lines() {
        let error = |text: &str| parse("weights", text).unwrap_err().to_string();
        assert!(error(&WEIGHTS.replace("2.50", "x")).starts_with("line 6, column \"weight\""));
        assert!(error(&WEIGHTS.replace("# key", "# keys")).contains("unknown field `keys`"));
        assert!(
            error(&WEIGHTS.replace("\"activity\"]", "\"action\"]"))
                .contains("one or more of the columns")
        );
        assert!(error(&WEIGHTS.replace("decimal(9,4)", "double")).contains("weight = double"));
        assert!(error(&WEIGHTS.replace("decimal(9,4)", "money")).contains("money"));
        assert!(error(&WEIGHTS.replace("weight = ", "Weight = ")).contains("names of a-z"));
        assert!(error("a,b\n1,2\n").contains("missing field `description`"));
    }
}
