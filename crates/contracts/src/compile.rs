//! Compiles a JSON Schema into a contract. A keyword that the decoder does not support is an error
//! here: ignored, it would promise a check that does not happen.

mod declaration;
mod keyword;
mod scalar;

use std::mem;

use shoplake_jobs::ColumnType;

use self::declaration::{Declaration, column};
use self::keyword::{ANNOTATIONS, Compiled, Problem, count, list, only_keywords, problem, type_of};
use self::scalar::scalar;
use crate::column::Column;
use crate::contract::{Contract, Delivery, Parent};
use crate::error::ContractError;
use crate::fields::{Array, ChildLayout, Member, MetadataColumns, Node, Object};
use crate::json::Json;

/// The most fields of an object: the decoder keeps a bit set of the fields that it has seen.
const MAX_PROPERTIES: usize = 128;

/// Returns the contract of `schema` and the contracts of its arrays of objects.
pub(crate) fn compile(dataset: &str, schema: &str) -> Result<Vec<Contract>, ContractError> {
    let document: Json = serde_json::from_str(schema)
        .map_err(|source| ContractError::Json { dataset: dataset.to_owned(), source })?;
    let schema_error = |Problem { at, text }| ContractError::Schema {
        dataset: dataset.to_owned(),
        at,
        problem: text,
    };
    contracts(dataset, &document).map_err(schema_error)
}

/// The columns found so far.
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
                    "{name:?} cannot be a column: expected lower-case letters, digits and '_', \
                     a letter first"
                ),
            );
        }
        if self.columns.iter().any(|column| column.name == name) {
            return problem(
                at,
                format!(
                    "there are two columns {name:?} (nested objects flatten with '_'); rename one \
                     of the fields"
                ),
            );
        }
        self.columns.push(Column {
            name,
            column_type,
            nullable,
            description: description.to_owned(),
        });
        Ok(self.columns.len() - 1)
    }

    /// Adds the columns that come from the envelope.
    fn close(&mut self, declared: &Declaration) -> MetadataColumns {
        let mut column = |name: &str, column_type, nullable, description: &str| {
            self.columns.push(Column {
                name: name.to_owned(),
                column_type,
                nullable,
                description: description.to_owned(),
            });
            self.columns.len() - 1
        };
        let [envelope_id, received_at] = Contract::METADATA;
        let [batch, run] = Contract::DELIVERY;
        MetadataColumns {
            envelope_id: column(
                envelope_id,
                ColumnType::String,
                false,
                "The id of the row's envelope.",
            ),
            received_at: column(
                received_at,
                ColumnType::Timestamp,
                false,
                "When the pipeline received the envelope.",
            ),
            delivery: (declared.delivery == Delivery::Batch).then(|| {
                (
                    column(
                        batch,
                        ColumnType::String,
                        true,
                        "The batch that the row was delivered in.",
                    ),
                    column(
                        run,
                        ColumnType::String,
                        true,
                        "The delivery of the batch: the time when it began (UTC). Null if the \
                         sender does not tell deliveries apart.",
                    ),
                )
            }),
            generation: (declared.generation > 1).then(|| {
                let position = column(
                    Contract::GENERATION,
                    ColumnType::Bigint,
                    true,
                    "The generation of the decoder that read the row; null is 1. Of one \
                     envelope's rows those of the latest generation count.",
                );
                (position, i64::from(declared.generation))
            }),
        }
    }
}

/// An array of objects. It becomes a table when the parent's key is known.
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
            "the x-dataset block is missing; it names source, delivery, key, event_time, \
             partition and sort",
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
    let metadata = table.close(&declared);

    if let (Some(batch), Some(child)) = (&declared.batch, pending.first()) {
        return problem(
            &child.at,
            format!(
                "the rows of an array have no batch of their own, so those of two runs of a batch, \
                 {batch}, could not be told apart; expected no array: send its items as a dataset \
                 of their own with \"batch\", or leave \"batch\" out"
            ),
        );
    }
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
    if let Some(name) = declared
        .personal
        .iter()
        .find(|name| tables().all(|columns| column(columns, name).is_none()))
    {
        return problem(
            "/x-dataset/personal",
            format!("{name:?} is neither a column of the dataset nor of a child"),
        );
    }
    let partition_column =
        column(&columns, declared.partition.column()).map_or(0, |(position, _)| position);
    let mut window_columns: Vec<usize> =
        [declared.event_time.as_str(), declared.partition.column()]
            .into_iter()
            .filter_map(|name| column(&columns, name))
            .filter(|(_, column)| {
                matches!(column.column_type, ColumnType::Timestamp | ColumnType::Date)
            })
            .map(|(position, _)| position)
            .collect();
    window_columns.dedup();
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
        batch: declared.batch,
        complete: declared.complete,
        copies_within_days: declared.copies_within_days,
        belongs_to: declared.belongs_to,
        generation: declared.generation,
        sort: declared.sort,
        personal: declared.personal,
        fresh_within: declared.fresh_within,
        accepts: declared.accepts,
        columns,
        children: children.iter().map(|child| child.dataset.clone()).collect(),
        parent: None,
        root,
        child_layouts: layouts,
        metadata,
        partition_column,
        window_columns,
    };
    Ok(std::iter::once(parent).chain(children).collect())
}

/// Moves the fields of the items into their arrays.
fn attach(object: &mut Object, items: &mut [Object]) {
    for member in &mut object.members {
        match &mut member.node {
            Node::Object { object, .. } => attach(object, items),
            Node::Array(array) => array.items = mem::take(&mut items[array.child]),
            Node::Scalar { .. } => {}
        }
    }
}

/// Compiles an array of objects. Its rows have the parent's key, version, partition column and
/// event time, the item's position, and the item's fields.
fn compile_child(
    parent: &str,
    child: PendingChild,
    declared: &Declaration,
    parent_columns: &[Column],
) -> Compiled<(Contract, ChildLayout, Object)> {
    let mut table = Table::default();
    let mut inherited = Vec::new();
    // With the version, the lines of an order differ from the lines of its previous version. What
    // decides between two versions decides between their lines, too.
    let carried = declared.key.iter().chain(&declared.version).map(String::as_str).chain([
        declared.partition.column(),
        &declared.event_time,
        Contract::TRIGGERED_AT,
    ]);
    for name in carried {
        let Some((position, column)) = column(parent_columns, name) else { continue };
        if Contract::METADATA.contains(&name)
            || table.columns.iter().any(|column| column.name == name)
        {
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
    let metadata = table.close(declared);

    let key: Vec<String> = declared.key.iter().cloned().chain([child.ordinal]).collect();
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let contract = Contract {
        description: format!("The rows of an array of {parent}. {}", child.title)
            .trim_end()
            .to_owned(),
        title: child.title,
        sources: declared.sources.clone(),
        delivery: declared.delivery,
        sort: key.clone(),
        key,
        version: declared.version.clone(),
        event_time: declared.event_time.clone(),
        partition: declared.partition.clone(),
        // The rows count with their parent, whose batch, copies and parent decide.
        batch: None,
        complete: None,
        copies_within_days: declared.copies_within_days,
        belongs_to: Some(Parent {
            dataset: parent.to_owned(),
            key: declared.key.clone(),
            version: None,
        }),
        generation: declared.generation,
        personal: declared
            .personal
            .iter()
            .filter(|name| names.contains(&name.as_str()))
            .cloned()
            .collect(),
        partition_column: column(&table.columns, declared.partition.column())
            .map_or(0, |(position, _)| position),
        // The rows arrive with the parent's, so the parent's freshness and times decide.
        fresh_within: None,
        accepts: declared.accepts,
        window_columns: Vec::new(),
        children: Vec::new(),
        parent: Some(parent.to_owned()),
        root: Object::default(),
        child_layouts: Vec::new(),
        metadata,
        dataset: child.dataset,
        columns: table.columns,
    };
    let layout = ChildLayout { width: contract.columns.len(), inherited, ordinal, metadata };
    Ok((contract, layout, items))
}

/// The position in the schema while its fields are collected.
struct Walk<'w> {
    table: &'w mut Table,
    prefix: &'w str,
    /// Whether the object itself may be absent.
    optional: bool,
    /// The arrays found so far; `None` within an array's items.
    children: Option<&'w mut Vec<PendingChild>>,
}

fn object(schema: &Json, at: &str, walk: &mut Walk<'_>) -> Compiled<Object> {
    let Some(Json::Object(properties)) = schema.get("properties") else {
        return problem(at, "an object needs \"properties\": only declared fields become columns");
    };
    if properties.is_empty() || properties.len() > MAX_PROPERTIES {
        return problem(
            at,
            format!("expected 1 to {MAX_PROPERTIES} properties, found {}", properties.len()),
        );
    }
    let mut required = Vec::new();
    for name in list(schema, at, "required")? {
        let Some(name) =
            name.as_str().filter(|name| properties.iter().any(|(property, _)| property == name))
        else {
            return problem(
                &format!("{at}/required"),
                format!("{name} is not a declared property"),
            );
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
    Ok(Object::new(members))
}

fn node(
    name: &str,
    schema: &Json,
    at: &str,
    required: bool,
    walk: &mut Walk<'_>,
) -> Compiled<Node> {
    let (kind, null) = type_of(schema, at)?;
    let column_name = format!("{}{name}", walk.prefix);
    let optional = walk.optional || null || !required;
    match kind {
        "object" => {
            only_keywords(
                schema,
                at,
                &[&ANNOTATIONS[..], &["type", "required", "properties"]].concat(),
            )?;
            let prefix = format!("{column_name}_");
            let children = walk.children.as_deref_mut();
            let object = object(
                schema,
                at,
                &mut Walk { table: walk.table, prefix: &prefix, optional, children },
            )?;
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
                    "an array within an array's items is not supported; send it as a separate \
                     dataset",
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
            // The envelope has the shop; data may repeat it.
            if column_name == "shop_id" && walk.children.is_some() {
                if scalar.column_type() != ColumnType::String || required || null {
                    return problem(
                        at,
                        "shop_id must be an optional string: the envelope has it, and data may \
                         repeat it",
                    );
                }
                if !description.is_empty() {
                    description.clone_into(&mut walk.table.columns[0].description);
                }
                return Ok(Node::Scalar { column: 0, scalar, shop: true });
            }
            let column =
                walk.table.add(at, column_name, scalar.column_type(), optional, description)?;
            Ok(Node::Scalar { column, scalar, shop: false })
        }
    }
}

fn pending_child(schema: &Json, at: &str) -> Compiled<PendingChild> {
    let usage = "an array of objects becomes a dataset: expected \"x-child\": {\"dataset\": \
                 \"order_lines\", \"ordinal\": \"line_no\"}";
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
        return problem(
            &items_at,
            "only arrays of objects are supported: expected \"type\": \"object\"",
        );
    }
    only_keywords(
        items,
        &items_at,
        &[&ANNOTATIONS[..], &["type", "required", "properties"]].concat(),
    )?;
    let title = schema.get("description").and_then(Json::as_str).unwrap_or_default().to_owned();
    Ok(PendingChild { at: at.to_owned(), dataset, ordinal, schema: items.clone(), title })
}
