//! From a JSON Schema to a contract. Whatever the decoder could not honour is an error here: a keyword that is silently ignored
//! would be a promise that nobody keeps.

use std::mem;

use regex::Regex;

use crate::column::{Column, ColumnType};
use crate::contract::{ChildLayout, Contract, Delivery};
use crate::contracts::ContractError;
use crate::decode::{Array, Member, Node, Object};
use crate::json::Json;
use crate::keys::KeyTable;
use crate::partition::Partition;
use crate::scalar::{DoubleRules, Kind, Listed, Scalar, Sign, TextRules};

/// The decoder notes in a bit set which fields it has seen.
const MAX_PROPERTIES: usize = 128;
/// Doubles hold every integer below it, so a bound below it compares exactly with any number.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// The contract of `schema`, and those of its arrays of objects.
pub(crate) fn compile(dataset: &str, schema: &str) -> Result<Vec<Contract>, ContractError> {
    let document: Json = serde_json::from_str(schema)
        .map_err(|source| ContractError::Json { dataset: dataset.to_owned(), source })?;
    let schema_error =
        |Problem { at, text }| ContractError::Schema { dataset: dataset.to_owned(), at, problem: text };
    contracts(dataset, &document).map_err(schema_error)
}

/// What is wrong, and where.
struct Problem {
    at: String,
    text: String,
}

type Compiled<T> = Result<T, Problem>;

fn problem<T>(at: &str, text: impl Into<String>) -> Compiled<T> {
    Err(Problem { at: at.to_owned(), text: text.into() })
}

/// A table in the making: the columns found so far.
#[derive(Default)]
struct Table {
    columns: Vec<Column>,
}

impl Table {
    fn add(
        &mut self,
        at: &str,
        name: String,
        column_type: ColumnType,
        nullable: bool,
        description: &str,
    ) -> Compiled<usize> {
        let portable = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !portable {
            return problem(
                at,
                format!(
                    "{name:?} cannot be a column: expected lower-case letters, digits and '_', a letter first"
                ),
            );
        }
        if self.columns.iter().any(|column| column.name == name) {
            return problem(
                at,
                format!(
                    "there are two columns {name:?} (nested objects flatten with '_'); rename one of the fields"
                ),
            );
        }
        self.columns.push(Column { name, column_type, nullable, description: description.to_owned() });
        Ok(self.columns.len() - 1)
    }

    fn close(&mut self) {
        let [envelope_id, received_at] = Contract::METADATA.map(str::to_owned);
        let column = |name, column_type, description: &str| Column {
            name,
            column_type,
            nullable: false,
            description: description.to_owned(),
        };
        self.columns.push(column(envelope_id, ColumnType::String, "The envelope that the row came in."));
        self.columns.push(column(received_at, ColumnType::Timestamp, "When the pipeline took the envelope."));
    }
}

/// An array of objects, seen but not yet a table: that needs the parent's key.
struct PendingChild {
    at: String,
    dataset: String,
    ordinal: String,
    schema: Json,
    title: String,
}

fn contracts(dataset: &str, document: &Json) -> Compiled<Vec<Contract>> {
    only_keywords(
        document,
        "",
        &["$schema", "$id", "title", "description", "type", "required", "properties", "examples"],
    )?;
    if type_of(document, "")? != ("object", false) {
        return problem("/type", "a dataset is an object: expected \"type\": \"object\"");
    }
    let Some(declaration) = document.get("x-dataset") else {
        return problem(
            "",
            "there is no x-dataset block; it names source, delivery, key, event_time, partition and sort",
        );
    };
    let declared = Declaration::read(declaration)?;

    let mut table = Table::default();
    let shop = "The shop; taken from the envelope.";
    table.add("/properties/shop_id", "shop_id".to_owned(), ColumnType::String, false, shop)?;
    let mut pending = Vec::new();
    let mut root = object(
        document,
        "",
        &mut Walk { table: &mut table, prefix: "", optional: false, children: Some(&mut pending) },
    )?;
    table.close();

    let mut layouts = Vec::new();
    let mut children = Vec::new();
    let mut arrays = Vec::new();
    for child in pending {
        let (contract, layout, items) = compile_child(dataset, child, &declared, &table.columns)?;
        children.push(contract);
        layouts.push(layout);
        arrays.push(items);
    }
    attach(&mut root, &mut arrays);

    let columns = mem::take(&mut table.columns);
    declared.check(&columns)?;
    let tables = || std::iter::once(&columns).chain(children.iter().map(|child| &child.columns));
    if let Some(name) =
        declared.personal.iter().find(|name| tables().all(|columns| column(columns, name).is_none()))
    {
        return problem("/x-dataset/personal", format!("{name:?} is a column neither here nor in a child"));
    }
    let partition_column = column(&columns, declared.partition.column()).map_or(0, |(position, _)| position);
    let text = |name| document.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let parent = Contract {
        dataset: dataset.to_owned(),
        title: text("title"),
        description: text("description"),
        sources: declared.sources,
        delivery: declared.delivery,
        key: declared.key,
        version: declared.version,
        event_time: declared.event_time,
        partition: declared.partition,
        sort: declared.sort,
        personal: declared.personal,
        columns,
        children: children.iter().map(|child| child.dataset.clone()).collect(),
        parent: None,
        root,
        child_layouts: layouts,
        partition_column,
    };
    Ok(std::iter::once(parent).chain(children).collect())
}

/// Puts the field tables of the items where their arrays are.
fn attach(object: &mut Object, items: &mut [Object]) {
    for member in &mut object.members {
        match &mut member.node {
            Node::Object { object, .. } => attach(object, items),
            Node::Array(array) => array.items = mem::take(&mut items[array.child]),
            Node::Scalar { .. } => {}
        }
    }
}

/// Rows of an array of objects: what identifies, orders and places the parent's row, the item's position, the item's fields.
fn compile_child(
    parent: &str,
    child: PendingChild,
    declared: &Declaration,
    parent_columns: &[Column],
) -> Compiled<(Contract, ChildLayout, Object)> {
    let mut table = Table::default();
    let mut inherited = Vec::new();
    // The version comes along because without it nobody could tell the lines of an order from those of its predecessor.
    let carried = declared
        .key
        .iter()
        .chain(&declared.version)
        .map(String::as_str)
        .chain([declared.partition.column(), &declared.event_time]);
    for name in carried {
        let Some((position, column)) = column(parent_columns, name) else { continue };
        if Contract::METADATA.contains(&name) || table.columns.iter().any(|column| column.name == name) {
            continue;
        }
        let own = table.add(
            &child.at,
            name.to_owned(),
            column.column_type,
            column.nullable,
            &column.description,
        )?;
        inherited.push((own, position));
    }
    let ordinal = table.add(
        &child.at,
        child.ordinal.clone(),
        ColumnType::Bigint,
        false,
        "The position within the array, from 1.",
    )?;
    let at = format!("{}/items", child.at);
    let items = object(
        &child.schema,
        &at,
        &mut Walk { table: &mut table, prefix: "", optional: false, children: None },
    )?;
    table.close();

    let key: Vec<String> = declared.key.iter().cloned().chain([child.ordinal]).collect();
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let contract = Contract {
        description: format!("The rows of an array of {parent}. {}", child.title).trim_end().to_owned(),
        title: child.title,
        sources: declared.sources.clone(),
        delivery: declared.delivery,
        sort: key.clone(),
        key,
        version: declared.version.clone(),
        event_time: declared.event_time.clone(),
        partition: declared.partition.clone(),
        personal: declared.personal.iter().filter(|name| names.contains(&name.as_str())).cloned().collect(),
        partition_column: column(&table.columns, declared.partition.column())
            .map_or(0, |(position, _)| position),
        children: Vec::new(),
        parent: Some(parent.to_owned()),
        root: Object::default(),
        child_layouts: Vec::new(),
        dataset: child.dataset,
        columns: table.columns,
    };
    let layout = ChildLayout { width: contract.columns.len(), inherited, ordinal };
    Ok((contract, layout, items))
}

/// Where an object's fields go.
struct Walk<'w> {
    table: &'w mut Table,
    prefix: &'w str,
    /// Whether the object itself may be absent.
    optional: bool,
    /// Arrays found; `None` within an array's items.
    children: Option<&'w mut Vec<PendingChild>>,
}

fn object(schema: &Json, at: &str, walk: &mut Walk<'_>) -> Compiled<Object> {
    let Some(Json::Object(properties)) = schema.get("properties") else {
        return problem(at, "an object needs \"properties\": only declared fields become columns");
    };
    if properties.is_empty() || properties.len() > MAX_PROPERTIES {
        return problem(at, format!("expected 1 to {MAX_PROPERTIES} properties, found {}", properties.len()));
    }
    let mut required = Vec::new();
    for name in list(schema, at, "required")? {
        let Some(name) = name.as_str().filter(|name| properties.iter().any(|(property, _)| property == name))
        else {
            return problem(&format!("{at}/required"), format!("{name} is not a declared property"));
        };
        required.push(name);
    }
    let mut members: Vec<Member> = Vec::with_capacity(properties.len());
    for (name, property) in properties {
        let at = format!("{at}/properties/{name}");
        if members.iter().any(|member| *member.name == **name) {
            return problem(&at, "declared twice");
        }
        let required = required.contains(&name.as_str());
        let node = node(name, property, &at, required, walk)?;
        members.push(Member { name: name.clone(), required, node });
    }
    Ok(Object::new(KeyTable::new(members.iter().map(|member| member.name.as_str())), members))
}

const ANNOTATIONS: [&str; 3] = ["title", "description", "examples"];

fn node(name: &str, schema: &Json, at: &str, required: bool, walk: &mut Walk<'_>) -> Compiled<Node> {
    let (kind, null) = type_of(schema, at)?;
    let column_name = format!("{}{name}", walk.prefix);
    let optional = walk.optional || null || !required;
    match kind {
        "object" => {
            only_keywords(schema, at, &[&ANNOTATIONS[..], &["type", "required", "properties"]].concat())?;
            let prefix = format!("{column_name}_");
            let children = walk.children.as_deref_mut();
            let object =
                object(schema, at, &mut Walk { table: walk.table, prefix: &prefix, optional, children })?;
            Ok(Node::Object { null, object })
        }
        "array" => {
            only_keywords(
                schema,
                at,
                &[&ANNOTATIONS[..], &["type", "items", "minItems", "maxItems"]].concat(),
            )?;
            let Some(children) = walk.children.as_deref_mut() else {
                return problem(
                    at,
                    "an array within an array's items is not supported; send it as a dataset of its own",
                );
            };
            children.push(pending_child(schema, at)?);
            let minimum = count(schema, at, "minItems")?.unwrap_or(0);
            let maximum = count(schema, at, "maxItems")?;
            Ok(Node::Array(Array {
                null,
                child: children.len() - 1,
                minimum,
                maximum,
                items: Object::default(),
            }))
        }
        kind => {
            let scalar = scalar(kind, null, schema, at)?;
            let description = schema.get("description").and_then(Json::as_str).unwrap_or_default();
            // The envelope knows the shop; data may repeat it.
            if column_name == "shop_id" && walk.children.is_some() {
                if scalar.column_type() != ColumnType::String || required || null {
                    return problem(
                        at,
                        "shop_id must be an optional string: it is taken from the envelope, data may repeat it",
                    );
                }
                if !description.is_empty() {
                    description.clone_into(&mut walk.table.columns[0].description);
                }
                return Ok(Node::Scalar { column: 0, scalar, shop: true });
            }
            let column = walk.table.add(at, column_name, scalar.column_type(), optional, description)?;
            Ok(Node::Scalar { column, scalar, shop: false })
        }
    }
}

fn pending_child(schema: &Json, at: &str) -> Compiled<PendingChild> {
    let usage = "an array of objects becomes a dataset: expected \"x-child\": {\"dataset\": \"order_lines\", \"ordinal\": \"line_no\"}";
    let Some(child) = schema.get("x-child") else { return problem(at, usage) };
    let text = |name| child.get(name).and_then(Json::as_str).map(str::to_owned);
    let (Some(dataset), Some(ordinal)) = (text("dataset"), text("ordinal")) else {
        return problem(at, usage);
    };
    let items_at = format!("{at}/items");
    let Some(items) = schema.get("items") else {
        return problem(at, "an array needs \"items\" of type object");
    };
    if type_of(items, &items_at)? != ("object", false) {
        return problem(&items_at, "only arrays of objects are supported: expected \"type\": \"object\"");
    }
    only_keywords(items, &items_at, &[&ANNOTATIONS[..], &["type", "required", "properties"]].concat())?;
    let title = schema.get("description").and_then(Json::as_str).unwrap_or_default().to_owned();
    Ok(PendingChild { at: at.to_owned(), dataset, ordinal, schema: items.clone(), title })
}

fn scalar(kind: &str, null: bool, schema: &Json, at: &str) -> Compiled<Scalar> {
    let listed_keywords = ["type", "enum", "const", "not"];
    let allow = |keywords: &[&str]| {
        only_keywords(schema, at, &[&ANNOTATIONS[..], &listed_keywords, keywords].concat())
    };
    let kind = match kind {
        "string" => {
            allow(&["format", "pattern", "minLength", "maxLength"])?;
            text_kind(schema, at, null)?
        }
        "integer" => {
            allow(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])?;
            integer_kind(schema, at, null)?
        }
        "number" => {
            only_keywords(
                schema,
                at,
                &[&ANNOTATIONS[..], &["type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]]
                    .concat(),
            )?;
            Kind::Double(DoubleRules {
                minimum: double(schema, at, "minimum")?,
                maximum: double(schema, at, "maximum")?,
                above: double(schema, at, "exclusiveMinimum")?,
                below: double(schema, at, "exclusiveMaximum")?,
            })
        }
        "boolean" => {
            allow(&[])?;
            let boolean = |value: &Json| if let Json::Boolean(value) = value { Some(*value) } else { None };
            Kind::Boolean(listed(schema, at, null, "a boolean", boolean)?)
        }
        other => {
            return problem(
                &format!("{at}/type"),
                format!(
                    "{other:?} is not supported: expected string, integer, number, boolean, object or array"
                ),
            );
        }
    };
    // `enum` and `const` also speak about null: listing only values rules it out.
    let listed_null = match (schema.get("enum"), schema.get("const")) {
        (Some(Json::Array(values)), _) => values.contains(&Json::Null),
        (_, Some(_)) => false,
        _ => true,
    };
    Ok(Scalar { kind, null: null && listed_null })
}

fn text_kind(schema: &Json, at: &str, null: bool) -> Compiled<Kind> {
    let text = |value: &Json| value.as_str().map(Box::from);
    let mut rules = TextRules {
        minimum: count(schema, at, "minLength")?.unwrap_or(0),
        maximum: count(schema, at, "maxLength")?,
        pattern: None,
        listed: listed(schema, at, null, "a string", text)?,
    };
    let declared_pattern = match schema.get("pattern") {
        Some(Json::Text(pattern)) => Some(pattern.as_str()),
        Some(_) => return problem(&format!("{at}/pattern"), "expected a string"),
        None => None,
    };
    if let Some(declared) = schema.get("x-type") {
        let Some(Ok(ColumnType::Decimal { precision, scale })) = declared.as_str().map(str::parse) else {
            return problem(
                &format!("{at}/x-type"),
                format!("expected \"decimal(p,s)\" with s < p <= 38, found {declared}"),
            );
        };
        if schema.get("format").is_some() {
            return problem(at, "a decimal has no format");
        }
        let Some(sign) =
            Sign::ALL.into_iter().find(|sign| declared_pattern == Some(&sign.pattern(precision, scale)))
        else {
            let patterns = Sign::ALL.map(|sign| sign.pattern(precision, scale));
            return problem(
                &format!("{at}/pattern"),
                format!(
                    "a decimal({precision},{scale}) must declare one of these patterns (any sign, not negative, positive): {}",
                    patterns.join("   ")
                ),
            );
        };
        return Ok(Kind::Decimal { precision, scale, sign, rules });
    }
    rules.pattern = declared_pattern.map(|pattern| compile_pattern(pattern, at)).transpose()?;
    match schema.get("format").map(|format| format.as_str().unwrap_or_default()) {
        None => Ok(Kind::Text(rules)),
        Some("date-time") => Ok(Kind::Timestamp(rules)),
        Some("date") => Ok(Kind::Date(rules)),
        Some(other) => problem(
            &format!("{at}/format"),
            format!("{other:?} is not supported: expected date-time or date; a pattern can say the rest"),
        ),
    }
}

/// Engines disagree about `\d`, `\w`, `\s`, `\b` (ASCII or Unicode), `.` (which line ends) and `(?` (look-around), so a contract does without.
fn compile_pattern(pattern: &str, at: &str) -> Compiled<Regex> {
    let at = format!("{at}/pattern");
    let mut within_class = false;
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        let portable = match character {
            '\\' => {
                let escaped = characters.next();
                escaped.is_some_and(|escaped| {
                    escaped.is_ascii_punctuation() || matches!(escaped, 'n' | 'r' | 't')
                })
            }
            '[' if within_class => false,
            '[' => {
                within_class = true;
                true
            }
            ']' => {
                within_class = false;
                true
            }
            '&' | '~' | '-' if within_class => next != Some(character),
            '.' => within_class,
            '(' => within_class || next != Some('?'),
            _ => true,
        };
        if !portable {
            return problem(
                &at,
                format!(
                    "{pattern:?} means different things to different engines near {character:?}: write classes out ([0-9], [^\\n]), without \\d, \\w, \\s, \\b, '.' and (?"
                ),
            );
        }
    }
    Regex::new(pattern).or_else(|error| problem(&at, format!("not a regular expression: {error}")))
}

fn integer_kind(schema: &Json, at: &str, null: bool) -> Compiled<Kind> {
    let integer = |value: &Json| if let Json::Integer(value) = value { Some(*value) } else { None };
    let bound = |name: &str| match schema.get(name) {
        None => Ok(None),
        Some(Json::Integer(value)) => Ok(Some(*value)),
        Some(other) => problem(&format!("{at}/{name}"), format!("expected a 64-bit integer, found {other}")),
    };
    let above = bound("exclusiveMinimum")?.map(|value| value.saturating_add(1));
    let below = bound("exclusiveMaximum")?.map(|value| value.saturating_sub(1));
    let (Some(minimum), Some(maximum)) =
        (bound("minimum")?.max(above), bound("maximum")?.into_iter().chain(below).min())
    else {
        return problem(at, "an integer becomes a 64-bit column: declare its minimum and maximum");
    };
    Ok(Kind::Integer { minimum, maximum, rules: listed(schema, at, null, "an integer", integer)? })
}

fn listed<T>(
    schema: &Json,
    at: &str,
    null: bool,
    what: &str,
    read: impl Fn(&Json) -> Option<T>,
) -> Compiled<Listed<T>> {
    let read = |value: &Json, at: &str| match (value, read(value)) {
        (_, Some(value)) => Ok(Some(value)),
        (Json::Null, None) if null => Ok(None),
        (other, None) => problem(at, format!("expected {what}, found {other}")),
    };
    let values = |schema: &Json, at: &str| -> Compiled<Option<Vec<T>>> {
        match (schema.get("enum"), schema.get("const")) {
            (None, None) => Ok(None),
            (Some(_), None) => {
                let at_enum = format!("{at}/enum");
                let values: Compiled<Vec<Option<T>>> =
                    list(schema, at, "enum")?.iter().map(|value| read(value, &at_enum)).collect();
                Ok(Some(values?.into_iter().flatten().collect()))
            }
            (None, Some(value)) => Ok(Some(read(value, &format!("{at}/const"))?.into_iter().collect())),
            (Some(_), Some(_)) => problem(at, "enum and const together: keep one"),
        }
    };
    let refused = match schema.get("not") {
        None => Vec::new(),
        Some(refused) => {
            let at = format!("{at}/not");
            only_keywords(refused, &at, &["enum", "const"])?;
            let Some(values) = values(refused, &at)? else {
                return problem(&at, "only {\"const\": ...} and {\"enum\": [...]} can be ruled out");
            };
            values
        }
    };
    Ok(Listed { allowed: values(schema, at)?, refused })
}

/// `x-dataset`.
struct Declaration {
    sources: Vec<String>,
    delivery: Delivery,
    key: Vec<String>,
    version: Option<String>,
    event_time: String,
    partition: Partition,
    sort: Vec<String>,
    personal: Vec<String>,
}

impl Declaration {
    fn read(block: &Json) -> Compiled<Self> {
        let at = "/x-dataset";
        let known = ["source", "delivery", "key", "version", "event_time", "partition", "sort", "personal"];
        only_keywords(block, at, &known)?;
        let texts = |name: &str| -> Compiled<Vec<String>> {
            list(block, at, name)?
                .iter()
                .map(|value| {
                    value
                        .as_str()
                        .map(str::to_owned)
                        .map_or_else(|| problem(&format!("{at}/{name}"), "expected strings"), Ok)
                })
                .collect()
        };
        let text = |name: &str| match block.get(name) {
            Some(Json::Text(text)) => Ok(text.clone()),
            _ => problem(&format!("{at}/{name}"), "expected a string"),
        };
        let delivery = match text("delivery")?.as_str() {
            "stream" => Delivery::Stream,
            "batch" => Delivery::Batch,
            "internal" => Delivery::Internal,
            other => {
                return problem(
                    &format!("{at}/delivery"),
                    format!("expected stream, batch or internal, found {other:?}"),
                );
            }
        };
        let sources = match block.get("source") {
            Some(Json::Text(source)) => vec![source.clone()],
            _ => texts("source")?,
        };
        if sources.is_empty() != (delivery == Delivery::Internal) {
            return problem(
                &format!("{at}/source"),
                "a dataset has a source unless its delivery is internal",
            );
        }
        let version = match block.get("version") {
            None | Some(Json::Null) => None,
            Some(_) => Some(text("version")?),
        };
        let partition = match text("partition")?.parse() {
            Ok(partition) => partition,
            Err(error) => return problem(&format!("{at}/partition"), format!("{error}")),
        };
        Ok(Self {
            sources,
            delivery,
            key: texts("key")?,
            version,
            event_time: text("event_time")?,
            partition,
            sort: texts("sort")?,
            personal: texts("personal")?,
        })
    }

    /// Whether what it names is there, and is what it has to be.
    fn check(&self, columns: &[Column]) -> Compiled<()> {
        let find = |part: &str, name: &str| match column(columns, name) {
            Some((_, column)) => Ok(column),
            None => problem(
                &format!("/x-dataset/{part}"),
                format!("{name:?} is not a column (nested fields are named with '_')"),
            ),
        };
        let complain = |part: &str, name: &str, text: &str| {
            problem(&format!("/x-dataset/{part}"), format!("{name:?} {text}"))
        };
        for (part, names) in [("key", &self.key), ("sort", &self.sort)] {
            if names.first().map(String::as_str) != Some("shop_id") {
                return problem(&format!("/x-dataset/{part}"), "must start with shop_id");
            }
        }
        for name in &self.key {
            if find("key", name)?.nullable {
                return complain("key", name, "may be null; a key's columns must be required");
            }
        }
        for name in &self.sort {
            find("sort", name)?;
        }
        if let Some(version) = &self.version
            && find("version", version)?.nullable
        {
            return complain("version", version, "may be null; then nobody could tell which row wins");
        }
        if find("event_time", &self.event_time)?.column_type != ColumnType::Timestamp {
            return complain("event_time", &self.event_time, "must be a date-time");
        }
        let name = self.partition.column();
        let decides = find("partition", name)?;
        let possible = match self.partition {
            Partition::Day(_) => matches!(decides.column_type, ColumnType::Timestamp | ColumnType::Date),
            Partition::Hour(_) => decides.column_type == ColumnType::Timestamp,
            Partition::Bucket { .. } => {
                matches!(decides.column_type, ColumnType::String | ColumnType::Bigint)
            }
        };
        if decides.nullable || !possible {
            return complain(
                "partition",
                name,
                "must be required, and a date-time or date (day), a date-time (hour), a string or integer (bucket)",
            );
        }
        Ok(())
    }
}

fn column<'c>(columns: &'c [Column], name: &str) -> Option<(usize, &'c Column)> {
    columns.iter().enumerate().find(|(_, column)| column.name == name)
}

fn only_keywords(schema: &Json, at: &str, known: &[&str]) -> Compiled<()> {
    let Json::Object(keywords) = schema else {
        return problem(at, format!("expected an object, found {}", schema.kind()));
    };
    for (position, (keyword, _)) in keywords.iter().enumerate() {
        if !known.contains(&keyword.as_str()) && !keyword.starts_with("x-") {
            return problem(
                &format!("{at}/{keyword}"),
                format!("not supported here; expected one of {} or x-*", known.join(", ")),
            );
        }
        if keywords[..position].iter().any(|(earlier, _)| earlier == keyword) {
            return problem(&format!("{at}/{keyword}"), "occurs twice");
        }
    }
    Ok(())
}

/// The type, and whether null is one as well.
fn type_of<'s>(schema: &'s Json, at: &str) -> Compiled<(&'s str, bool)> {
    let at = format!("{at}/type");
    match schema.get("type") {
        Some(Json::Text(name)) => Ok((name, false)),
        Some(Json::Array(names)) => match names.as_slice() {
            [Json::Text(name), Json::Text(null)] | [Json::Text(null), Json::Text(name)] if null == "null" => {
                Ok((name, true))
            }
            _ => problem(&at, "expected a type, or [a type, \"null\"]"),
        },
        _ => problem(&at, "every field needs a type"),
    }
}

fn list<'s>(schema: &'s Json, at: &str, name: &str) -> Compiled<&'s [Json]> {
    match schema.get(name) {
        None => Ok(&[]),
        Some(Json::Array(values)) => Ok(values),
        Some(other) => problem(&format!("{at}/{name}"), format!("expected an array, found {}", other.kind())),
    }
}

fn count(schema: &Json, at: &str, name: &str) -> Compiled<Option<usize>> {
    match schema.get(name) {
        None => Ok(None),
        Some(Json::Integer(value @ 0..=0x7fff_ffff)) => Ok(Some(*value as usize)),
        Some(other) => problem(&format!("{at}/{name}"), format!("expected a count, found {other}")),
    }
}

fn double(schema: &Json, at: &str, name: &str) -> Compiled<Option<f64>> {
    let value = match schema.get(name) {
        None => return Ok(None),
        Some(Json::Integer(value)) => *value as f64,
        Some(Json::Double(value)) => *value,
        Some(_) => f64::NAN,
    };
    if value.abs() < EXACT_INTEGERS {
        Ok(Some(value))
    } else {
        problem(&format!("{at}/{name}"), "expected a number within plus or minus 2^53")
    }
}
