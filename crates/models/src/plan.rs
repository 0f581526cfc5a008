//! Plans the job of a dirty partition.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use shoplake_index::{GoldHead, ReferenceTable, References};
use shoplake_jobs::{
    Correspondence, Downstream, InputDays, JOB_VERSION, JobCheck, JobDocument, JobInput, JobOutput,
    JobPartition, Partition, PartitionKind, Severity, View,
};
use shoplake_lake::{Entry, keys};

use crate::dataset::{self, Dataset};
use crate::definition::is_reference;
use crate::models::{Model, Models, short_name};
use crate::render::{self, objects_name, view_name};

/// The objects of each input (`silver.pos_sales`): the listings of [`Models::input_ranges`].
pub type Listing = BTreeMap<String, Vec<Entry>>;

/// The plan of a dirty partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// No job: gold has the same inputs and definitions, or the partition is empty.
    UpToDate,
    /// This job computes the partition.
    Job(Box<JobDocument>),
}

impl Models {
    /// Returns the plan of `partition` of `model`. An input that `listing` does not name has no
    /// objects. Reference tables have their packaged rows.
    ///
    /// A partition without gold and without an object of its own in an input is empty and not
    /// computed, even if other days of its window have inputs. Otherwise a lookback of 30 days
    /// would compute 30 days of the future. A partition that is in gold stays up to date.
    pub fn plan(
        &self,
        model: &Model,
        partition: Partition,
        listing: &Listing,
        head: Option<&GoldHead>,
    ) -> Plan {
        self.plan_with(model, partition, listing, head, &References::new())
    }

    /// Returns the same plan with the rows of `references` in place of the packaged ones: see
    /// [`ReferenceTable::with_rows`].
    pub fn plan_with(
        &self,
        model: &Model,
        partition: Partition,
        listing: &Listing,
        head: Option<&GoldHead>,
        references: &References,
    ) -> Plan {
        match self.job(model, partition, listing, head, references) {
            Some(job) if head.is_none_or(|head| head.inputs != job.output.inputs_digest) => {
                Plan::Job(Box::new(job))
            }
            _ => Plan::UpToDate,
        }
    }

    /// Returns the job that computes `partition` of `model`, also if gold has the same inputs
    /// already; `None` if the partition is empty: see [`plan`](Self::plan).
    pub fn job(
        &self,
        model: &Model,
        partition: Partition,
        listing: &Listing,
        head: Option<&GoldHead>,
        references: &References,
    ) -> Option<JobDocument> {
        if head.is_none() && !self.has_input_for_partition(model, partition, listing) {
            return None;
        }
        let tables = self.tables(model, partition, listing, references);
        let checks = model.job_checks();
        let query = model.query.render(view_name);
        let sql = render::partition_query(&query, &model.partitioning, partition);
        let partition = JobPartition { column: model.partition.clone(), value: partition };

        let inputs_digest = inputs_digest(listing, &tables, &sql, &model.key, &checks);
        let expected_etag = head.map(|head| head.etag.to_string());
        let value = partition.value.to_string();
        let id = digest(
            [&model.name, &value, &inputs_digest, expected_etag.as_ref().unwrap_or(&String::new())]
                .map(String::as_str),
        );
        let downstream = self.downstream(&model.name);
        Some(JobDocument {
            version: JOB_VERSION,
            id,
            model: model.name.clone(),
            inputs: tables.inputs,
            views: tables.views,
            sql,
            key: model.key.clone(),
            sort: sort(model, &downstream),
            checks,
            downstream,
            output: JobOutput {
                key: model.output_key(partition.value),
                expected_etag,
                version: head.map_or(0, |head| head.version) + 1,
                inputs_digest,
            },
            warehouse: model.warehouse.clone(),
            alert: model.alert.clone(),
            personal: self.personal.iter().cloned().collect(),
            partition,
        })
    }

    /// Returns whether an input has an object of the partition itself.
    fn has_input_for_partition(
        &self,
        model: &Model,
        partition: Partition,
        listing: &Listing,
    ) -> bool {
        self.own_partition_ranges(model, partition).into_iter().any(|range| {
            let mut entries = listing.get(&range.input).into_iter().flatten();
            entries.any(|entry| range.folders.contains(&entry.key))
        })
    }

    /// Returns the reference table that queries call `input`, with its edited rows if there are
    /// any.
    fn reference_table<'a>(
        &'a self,
        input: &str,
        references: &'a References,
    ) -> Option<&'a ReferenceTable> {
        is_reference(input).then(|| {
            references.get(short_name(input)).or_else(|| self.reference(short_name(input)))
        })?
    }

    /// Returns the tables and views that the model and its checks read.
    fn tables(
        &self,
        model: &Model,
        partition: Partition,
        listing: &Listing,
        references: &References,
    ) -> Tables {
        let mut tables = Tables::default();
        for input in model.named_inputs() {
            if let Some(table) = self.reference_table(input, references) {
                tables.view(view_name(input), table.sql());
            }
        }
        for (input, correspondence) in &model.objects {
            let input = input.as_str();
            let entries = listing.get(input).into_iter().flatten();
            let objects: BTreeMap<_, _> =
                entries.map(|entry| (entry.key.clone(), entry.size)).collect();
            let (objects, sizes): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
            if let Some(dataset) = self.dataset(input) {
                tables.inputs.push(JobInput {
                    table: objects_name(input),
                    name: input.to_owned(),
                    columns: dataset.columns.clone(),
                    objects,
                    sizes,
                    days: None,
                });
            } else if !objects.is_empty() {
                let days = days(correspondence, partition);
                // A partition of a model is one object, so it has no duplicates to remove.
                let rows = render::rows_of_days(&objects_name(input), days.as_ref());
                tables.view(view_name(input), rows);
                tables.inputs.push(JobInput {
                    table: objects_name(input),
                    name: input.to_owned(),
                    columns: None,
                    objects,
                    sizes: Vec::new(),
                    days,
                });
            } else if let Some(upstream) = self.by_reference(input) {
                self.add_empty(upstream, &mut tables);
                tables.view(view_name(input), format!("select *\nfrom {}\n", empty_name(input)));
            }
        }
        for input in model.named_inputs() {
            self.add_dataset_views(input, &model.reference, &mut tables);
        }
        tables
    }

    /// Adds the views of a dataset for the model `reader`, after those that they read.
    fn add_dataset_views(&self, input: &str, reader: &str, tables: &mut Tables) {
        let Some(dataset) = self.dataset(input) else { return };
        if tables.has(&view_name(input)) {
            return;
        }
        for parent in &dataset.parents {
            self.add_dataset_views(parent, reader, tables);
        }
        for view in dataset.views_for(reader) {
            if !tables.has(&view.name) {
                tables.views.push(view);
            }
        }
    }

    /// Adds the model's query over empty tables, which gives its columns the right types where no
    /// object has them.
    fn add_empty(&self, model: &Model, tables: &mut Tables) {
        if tables.has(&empty_name(&model.reference)) {
            return;
        }
        for input in &model.inputs {
            if let Some(upstream) = self.by_reference(input) {
                self.add_empty(upstream, tables);
            } else if let Some(table) = self
                .reference(short_name(input))
                .filter(|_| is_reference(input) && !tables.has(&empty_name(input)))
            {
                tables.view(empty_name(input), table.empty_sql());
            } else if let Some(dataset) =
                self.dataset(input).filter(|_| !tables.has(&empty_name(input)))
            {
                self.add_empty_dataset(input, dataset, &model.reference, tables);
            }
        }
        let query = model.query.render(empty_name);
        let query = match model.kind() {
            // Any bucket has the column of the buckets.
            PartitionKind::Bucket(_) => {
                render::partition_query(&query, &model.partitioning, Partition::Bucket(0))
            }
            PartitionKind::Day | PartitionKind::Hour => query,
        };
        tables.view(empty_name(&model.reference), query);
    }

    fn add_empty_dataset(&self, input: &str, dataset: &Dataset, reader: &str, tables: &mut Tables) {
        if dataset.columns.is_some() {
            tables.inputs.push(JobInput {
                table: empty_name(input),
                name: input.to_owned(),
                columns: dataset.columns.clone(),
                objects: Vec::new(),
                sizes: Vec::new(),
                days: None,
            });
            return;
        }
        // The columns of a dataset without objects follow from its views, over tables without
        // objects.
        for name in dataset::objects_of(&self.datasets, input, reader) {
            if !tables.has(&objects_name(&name))
                && let Some(dataset) = self.dataset(&name)
            {
                tables.inputs.push(JobInput {
                    table: objects_name(&name),
                    name: name.clone(),
                    columns: dataset.columns.clone(),
                    objects: Vec::new(),
                    sizes: Vec::new(),
                    days: None,
                });
            }
        }
        self.add_dataset_views(input, reader, tables);
        let sql = format!("select *\nfrom {}\nwhere 1 = 0\n", view_name(input));
        tables.view(empty_name(input), sql);
    }
}

/// Returns the days of which rows of an input are read, for an input that is read by column.
fn days(correspondence: &Correspondence, partition: Partition) -> Option<InputDays> {
    let Correspondence::ByColumn { column, window } = correspondence else { return None };
    let (first, last) = window.ends(partition.day()?);
    Some(InputDays { column: column.clone(), first, last })
}

/// Returns the columns by which rows of the model are sorted. The days by which others read its
/// buckets come first, so that few row groups have rows of one day.
fn sort(model: &Model, downstream: &[Downstream]) -> Vec<String> {
    let mut sort: Vec<String> = Vec::new();
    let days = downstream.iter().filter_map(|downstream| match &downstream.correspondence {
        Correspondence::ByColumn { column, .. } => Some(column),
        _ => None,
    });
    for column in days.chain(&model.key) {
        if !sort.contains(column) {
            sort.push(column.clone());
        }
    }
    sort
}

/// The tables and views of a job.
#[derive(Default)]
struct Tables {
    inputs: Vec<JobInput>,
    views: Vec<View>,
}

impl Tables {
    fn view(&mut self, name: String, sql: String) {
        self.views.push(View { name, sql, stored: false });
    }

    fn has(&self, name: &str) -> bool {
        self.inputs.iter().any(|input| input.table == name)
            || self.views.iter().any(|view| view.name == name)
    }
}

/// Returns the name of the empty table of `reference`.
fn empty_name(reference: &str) -> String {
    format!("{}__empty", view_name(reference))
}

impl Model {
    /// Returns the checks of new rows: the checks of the key, which every model has, and the
    /// model's own checks.
    ///
    /// The checks of the key have severity error, because rows that share a key cannot be compared,
    /// loaded or alerted on. They return the key, which begins with `shop_id`.
    pub fn job_checks(&self) -> Vec<JobCheck> {
        let rows = JobDocument::rows_table_of(&self.name);
        let own = self.checks.iter().map(|check| JobCheck {
            name: check.name.clone(),
            severity: check.severity,
            description: check.description.clone(),
            sql: check.query.render(|table| {
                if short_name(table) == self.name { rows.clone() } else { view_name(table) }
            }),
        });
        key_checks(&self.name, &self.key).into_iter().chain(own).collect()
    }
}

/// Returns the checks of the key of the rows of `name`.
pub(crate) fn key_checks(name: &str, key: &[String]) -> Vec<JobCheck> {
    let rows = JobDocument::rows_table_of(name);
    let checks = [
        ("key_is_not_null", "no column of the key is null", render::key_is_null(&rows, key)),
        ("key_is_unique", "no key occurs twice", render::key_repeats(&rows, key)),
    ];
    let check = |(rule, description, sql): (&str, &str, String)| JobCheck {
        name: format!("{name}_{rule}"),
        severity: Severity::Error,
        description: description.to_owned(),
        sql,
    };
    checks.map(check).into()
}

/// Returns what names the content of an input object besides its key.
///
/// The key of a silver object is a function of its input, so the same key has the same rows. An
/// ETag does not name the content: with SSE-KMS each write has another one, and a retried batch
/// would make every partition that it belongs to out of date. The key of a gold object is that of
/// its partition, and a listing has neither its version nor a digest of its rows. Its ETag will do,
/// because gold is written only when its rows or failed checks have changed.
fn content(entry: &Entry) -> Cow<'_, str> {
    if entry.key.starts_with(keys::SILVER) {
        format!("{} bytes", entry.size).into()
    } else {
        entry.etag.as_str().into()
    }
}

/// Returns the digest of everything that the rows and their checks are a function of: the objects
/// and the definitions.
fn inputs_digest(
    listing: &Listing,
    tables: &Tables,
    sql: &str,
    key: &[String],
    checks: &[JobCheck],
) -> String {
    let objects: BTreeSet<[Cow<'_, str>; 3]> = listing
        .iter()
        .flat_map(|(input, entries)| {
            entries.iter().map(move |entry| {
                [input.as_str().into(), entry.key.as_str().into(), content(entry)]
            })
        })
        .collect();
    let mut texts: Vec<Cow<'_, str>> = objects.into_iter().flatten().collect();
    for input in &tables.inputs {
        texts.push((&input.table).into());
        for column in input.columns.iter().flatten() {
            texts
                .push(format!("{} {} {}", column.name, column.column_type, column.nullable).into());
        }
    }
    for view in &tables.views {
        texts.extend([Cow::from(&view.name), Cow::from(&view.sql)]);
    }
    texts.push(sql.into());
    texts.extend(key.iter().map(Cow::from));
    for check in checks {
        texts.extend([
            Cow::from(&check.name),
            format!("{:?}", check.severity).into(),
            Cow::from(&check.sql),
        ]);
    }
    digest(texts.iter().map(AsRef::as_ref))
}

/// Returns the digest of a sequence of texts.
fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // The length keeps ["ab", "c"] and ["a", "bc"] apart.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use shoplake_contracts::Contracts;
    use shoplake_lake::ETag;

    use super::*;
    use crate::models::InputRange;
    use crate::testing::{ALL_SALES, BY_DAY, bucketed, day, model, models, world};

    fn entry(key: &str, etag: &str) -> Entry {
        Entry {
            key: key.into(),
            etag: ETag::new(etag),
            size: 1,
            last_modified: DateTime::UNIX_EPOCH,
        }
    }

    fn listing(objects: &[(&str, &str, &str)]) -> Listing {
        let mut listing = Listing::new();
        for (input, key, etag) in objects {
            listing.entry((*input).to_owned()).or_default().push(entry(key, etag));
        }
        listing
    }

    fn job(model: &str, listing: &Listing, head: Option<&GoldHead>) -> JobDocument {
        job_of(&world(), model, listing, head, &References::new())
    }

    fn job_of(
        models: &Models,
        model: &str,
        listing: &Listing,
        head: Option<&GoldHead>,
        references: &References,
    ) -> JobDocument {
        match models.plan_with(
            models.get(model).unwrap(),
            day("2010-12-01"),
            listing,
            head,
            references,
        ) {
            Plan::Job(job) => *job,
            Plan::UpToDate => panic!("expected a job"),
        }
    }

    fn head(job: &JobDocument) -> GoldHead {
        GoldHead {
            etag: ETag::new("\"gold\""),
            version: job.output.version,
            inputs: job.output.inputs_digest.clone(),
            job: job.id.clone(),
        }
    }

    fn sales() -> Listing {
        listing(&[
            ("silver.sales", "silver/sales/dt=2010-12-01/b.parquet", "2"),
            ("silver.sales", "silver/sales/dt=2010-12-01/a.parquet", "1"),
        ])
    }

    #[test]
    fn a_job_has_everything_that_an_engine_needs() {
        let job = job("daily", &sales(), None);
        insta::assert_snapshot!(serde_json::to_string_pretty(&job).unwrap());
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<JobDocument>(&text).unwrap(), job);
    }

    #[test]
    fn the_sql_of_a_job_is_readable() {
        let job = job("daily", &sales(), None);
        let views: Vec<_> =
            job.views.iter().map(|view| format!("-- {}\n{}", view.name, view.sql)).collect();
        insta::assert_snapshot!(format!("{}\n-- query\n{}", views.join("\n"), job.sql));
    }

    /// Contracts of batches, and of orders with their lines, with models of them.
    fn batches_and_orders() -> Models {
        let declare = |block: &str, child: &str| {
            format!(
                r#"{{"title":"t","description":"d","type":"object",
                    "x-dataset":{{"event_time":"at","sort":["shop_id"],"personal":[],{block}}},
                    "required":["id","day","at"],
                    "properties":{{"id":{{"type":"string","description":"d"}},
                        "day":{{"type":"string","format":"date","description":"d"}},
                        {child}
                        "at":{{"type":"string","format":"date-time","description":"d"}}}}}}"#
            )
        };
        let sales = r#""source":"pos","delivery":"batch","key":["shop_id","id"],
            "partition":"day(day)","batch":"day(day)","generation":2,
            "complete":{"count":"row_count","sum":{"units":"quantity_sum"}},
            "fresh_within":"P2D""#;
        let units = r#""units":{"type":"integer","minimum":0,"maximum":9,"description":"d"},"#;
        let orders = r#""source":"shop","delivery":"stream","key":["shop_id","id"],
            "version":"at","partition":"day(day)","copies_within_days":1"#;
        let lines = r#""lines":{"type":"array","description":"d",
            "x-child":{"dataset":"lines","ordinal":"line_no"},
            "items":{"type":"object","properties":{"sku":{"type":"string","description":"d"}}}},"#;
        let contracts = Contracts::from_sources([
            ("sales", declare(sales, units).replace("[\"id\"", "[\"units\",\"id\"")),
            ("orders", declare(orders, lines)),
            ("control_totals", include_str!("../../contracts/schemas/control_totals.json").into()),
            ("quarantined", include_str!("../../contracts/schemas/quarantined.json").into()),
        ])
        .unwrap();
        let model = |input: &str| crate::testing::model(&[input], "-- lookback_days = 3");
        let sources = [
            ("sales/of_sales.sql", model("silver.sales")),
            ("sales/of_lines.sql", model("silver.lines")),
            (
                "sales/of_runs.sql",
                model("silver.batch_runs")
                    .replace("\"day\"", "\"business_date\"")
                    .replace("shop_id, day", "shop_id, business_date"),
            ),
        ];
        let sources = sources.iter().map(|(name, text)| (*name, text.as_str()));
        Models::from_sources(&contracts, sources).unwrap()
    }

    #[test]
    fn the_sql_of_batches_and_of_lines_is_readable() {
        let models = batches_and_orders();
        let mut texts = Vec::new();
        for name in ["sales", "lines"] {
            let own = format!("silver/{name}/dt=2010-12-01/a.parquet");
            let input = format!("silver.{name}");
            let listing = listing(&[(input.as_str(), own.as_str(), "1")]);
            let model = format!("of_{name}");
            let job = job_of(&models, &model, &listing, None, &References::new());
            for view in &job.views {
                let stored = if view.stored { " (stored)" } else { "" };
                texts.push(format!("-- {}{stored}\n{}", view.name, view.sql));
            }
        }
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn what_decides_which_rows_count_is_an_input() {
        let models = batches_and_orders();
        let ranges = |model: &str| -> Vec<String> {
            let ranges = models.input_ranges(models.get(model).unwrap(), day("2010-12-10"));
            ranges
                .iter()
                .map(|InputRange { input, folders }| {
                    format!("{input} {} {}", folders.first, folders.last)
                })
                .collect()
        };
        let with = |input: &str| {
            ["silver.control_totals", "silver.quarantined", input]
                .map(|input| format!("{input} 2010-12-07 2010-12-10"))
        };
        assert_eq!(ranges("of_sales"), with("silver.sales"));
        assert_eq!(ranges("of_runs"), with("silver.sales"));
        // Copies of an order, and so of its lines, are within a day of it.
        assert_eq!(
            ranges("of_lines"),
            ["silver.lines 2010-12-06 2010-12-11", "silver.orders 2010-12-06 2010-12-11"]
        );
        let dirtied = |name: &str| -> Vec<String> {
            let dirtied = models.dirtied_by(name, day("2010-12-10"));
            dirtied.into_iter().map(|(model, day)| format!("{model} {day}")).collect()
        };
        assert_eq!(dirtied("control_totals").len(), 8, "the days of two models");
        assert_eq!(dirtied("quarantined"), dirtied("control_totals"));
        assert_eq!(
            dirtied("orders"),
            [9, 10, 11, 12, 13, 14].map(|day| format!("of_lines 2010-12-{day:02}"))
        );
    }

    /// A model by bucket, and one of its days.
    fn orders() -> Models {
        models(&[
            ("sales/orders_clean.sql", bucketed(&["silver.orders", "silver.sales"], ALL_SALES)),
            (
                "sales/days.sql",
                model(&["gold.orders_clean"], &format!("{BY_DAY}\n-- lookback_days = 6")),
            ),
        ])
    }

    fn planned(
        models: &Models,
        model: &str,
        partition: &str,
        listing: &Listing,
    ) -> Option<JobDocument> {
        let partition = partition.parse().unwrap();
        models.job(models.get(model).unwrap(), partition, listing, None, &References::new())
    }

    #[test]
    fn a_bucket_has_rows_of_its_own_bucket_only() {
        let models = orders();
        let order = ("silver.orders", "silver/orders/bucket=0007/a.parquet", "1");
        let sale = ("silver.sales", "silver/sales/dt=2010-12-01/a.parquet", "1");
        let job = planned(&models, "orders_clean", "0007", &listing(&[order, sale])).unwrap();
        assert_eq!(job.output.key, "gold/orders_clean/bucket=0007/data.parquet");
        assert!(
            job.sql
                .starts_with("select\n    *,\n    cast(7 as bigint) as bucket\nfrom (\nwith rows"),
            "{}",
            job.sql
        );
        assert!(job.sql.ends_with("where crc32(cast(id as string)) % 16 = 7\n"), "{}", job.sql);
        assert_eq!(job.sort, ["day", "shop_id", "id"], "the day of its readers comes first");
        let read: Vec<_> =
            job.inputs.iter().map(|input| (&*input.name, input.objects.len())).collect();
        assert_eq!(read, [("silver.orders", 1), ("silver.sales", 1)]);
        assert_eq!(
            planned(&models, "orders_clean", "0007", &listing(&[sale])),
            None,
            "what is read whole makes no bucket"
        );
        let model = models.get("orders_clean").unwrap();
        assert_eq!(model.columns.last().map(String::as_str), Some("bucket"));
        assert_eq!(
            model.descriptions["bucket"].as_str(),
            "The bucket of the row: crc32(id) modulo 16."
        );
    }

    #[test]
    fn an_input_by_column_is_read_for_the_days_of_the_window() {
        let models = orders();
        let bucket = ("gold.orders_clean", "gold/orders_clean/bucket=0007/data.parquet", "1");
        let job = planned(&models, "days", "2010-12-10", &listing(&[bucket])).unwrap();
        let days = job.inputs[0].days.clone().unwrap();
        assert_eq!(
            (days.column.as_str(), days.first.to_string(), days.last.to_string()),
            ("day", "2010-12-04".to_owned(), "2010-12-10".to_owned())
        );
        assert_eq!(
            job.views[0].sql,
            "select *\nfrom gold__orders_clean__objects\nwhere day between \
             cast('2010-12-04' as date) and cast('2010-12-10' as date)\n"
        );
        // Without any bucket, its columns come from the query of the model by bucket.
        let empty = models.job(
            models.get("days").unwrap(),
            day("2010-12-10"),
            &Listing::new(),
            Some(&head(&job)),
            &References::new(),
        );
        let views = empty.unwrap().views;
        assert!(views.iter().any(|view| view.sql.contains("as bucket")), "{views:?}");
    }

    /// The ids of clicks, those that were moved to another day, and a model that reads clicks.
    fn moved_clicks() -> Models {
        let by_id = |input: &str, more: &str| {
            crate::testing::model(&[input], more)
                .replace("[\"shop_id\", \"day\"]", "[\"shop_id\", \"day\", \"id\"]")
                .replace("shop_id, day", "shop_id, day, id")
        };
        let moved = by_id("gold.ids", "-- moved_rows_of = \"silver.clicks\"");
        crate::testing::models(&[
            ("intermediate/ids.sql", by_id("silver.clicks", "")),
            ("intermediate/zzz_moved.sql", moved),
            ("sales/of_clicks.sql", crate::testing::model(&["silver.clicks"], "")),
        ])
    }

    #[test]
    fn models_that_find_no_moved_rows_read_a_dataset_without_them() {
        let models = moved_clicks();
        let clicks = ("silver.clicks", "silver/clicks/dt=2010-12-01/hour=09/a.parquet", "1");
        let moved = ("gold.zzz_moved", "gold/zzz_moved/day=2010-12-01/data.parquet", "1");
        let views = |model: &str, objects: &[(&str, &str, &str)]| -> Vec<View> {
            job_of(&models, model, &listing(objects), None, &References::new()).views
        };
        let names = |views: &[View]| -> Vec<String> {
            views.iter().map(|view| view.name.clone()).collect()
        };
        let all = views("ids", &[clicks]);
        assert_eq!(names(&all), ["silver__clicks"]);

        let read = views("of_clicks", &[clicks, moved]);
        let expected = ["gold__zzz_moved", "silver__clicks__versions", "silver__clicks"];
        assert_eq!(names(&read), expected);
        assert_eq!(read[1].sql, all[0].sql);
        insta::assert_snapshot!(read[2].sql, @r"
        select
            versions.shop_id,
            versions.amount,
            versions.at,
            versions.day,
            versions.id,
            versions.note,
            versions._envelope_id,
            versions._received_at
        from silver__clicks__versions as versions
        left anti join gold__zzz_moved as moved
            on
                versions.shop_id = moved.shop_id
                and versions.id = moved.id
                and cast(versions.at as date) = moved.day
        ");
        // Before the model of the moved rows has run.
        let first = names(&views("of_clicks", &[clicks]));
        assert_eq!(first[..3], ["gold__ids__empty", "gold__zzz_moved__empty", "gold__zzz_moved"]);
    }

    #[test]
    fn moved_rows_are_an_input_of_the_models_that_leave_them_out() {
        let models = moved_clicks();
        let inputs = |model: &str| -> Vec<String> {
            let ranges = models.input_ranges(models.get(model).unwrap(), day("2010-12-10"));
            ranges.into_iter().map(|range| range.input).collect()
        };
        assert_eq!(inputs("of_clicks"), ["gold.zzz_moved", "silver.clicks"]);
        assert_eq!(inputs("zzz_moved"), ["gold.ids"]);
        assert_eq!(inputs("ids"), ["silver.clicks"]);
        let dirtied = models.dirtied_by("zzz_moved", day("2010-12-10"));
        assert_eq!(dirtied, [("of_clicks".to_owned(), day("2010-12-10"))]);
        let order: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(order, ["ids", "zzz_moved", "of_clicks"]);
    }

    #[test]
    fn control_totals_alone_make_a_day_of_batches_only() {
        let models = batches_and_orders();
        let totals =
            listing(&[("silver.control_totals", "silver/control_totals/dt=2010-12-01/a", "1")]);
        let plan =
            |model: &str| models.plan(models.get(model).unwrap(), day("2010-12-01"), &totals, None);
        assert_eq!(plan("of_sales"), Plan::UpToDate);
        assert!(matches!(plan("of_runs"), Plan::Job(_)));
    }

    #[test]
    fn gold_of_the_same_inputs_is_up_to_date() {
        let models = world();
        let head = head(&job("daily", &sales(), None));
        let plan = |listing: &Listing| {
            models.plan(models.get("daily").unwrap(), day("2010-12-01"), listing, Some(&head))
        };
        assert_eq!(plan(&sales()), Plan::UpToDate);
        let mut reversed = sales();
        reversed.values_mut().for_each(|entries| entries.reverse());
        assert_eq!(plan(&reversed), Plan::UpToDate, "the order of a listing says nothing");
        assert!(matches!(plan(&listing(&[("silver.clicks", "c", "1")])), Plan::Job(_)));
    }

    #[test]
    fn a_job_id_follows_from_the_inputs_and_the_expected_etag() {
        let first = job("daily", &sales(), None);
        let fewer = listing(&[("silver.sales", "silver/sales/dt=2010-12-01/a.parquet", "1")]);
        let second = job("daily", &fewer, Some(&head(&first)));
        assert_ne!(first.id, second.id);
        assert_eq!(
            (second.output.version, second.output.expected_etag.as_deref()),
            (2, Some("\"gold\""))
        );
        assert_ne!(job("daily", &fewer, None).id, second.id);
        assert_eq!(job("daily", &sales(), None).id, first.id, "planning again gives the same job");
    }

    #[test]
    fn a_silver_object_is_named_by_key_and_size_not_by_etag() {
        let digest = |listing: &Listing| job("daily", listing, None).output.inputs_digest;
        let mut written_again = sales();
        for entry in written_again.values_mut().flatten() {
            entry.etag = ETag::new("another");
        }
        assert_eq!(digest(&written_again), digest(&sales()));
        written_again.values_mut().flatten().for_each(|entry| entry.size += 1);
        assert_ne!(digest(&written_again), digest(&sales()));

        let gold =
            |etag| listing(&[("gold.daily", "gold/daily/day=2010-12-01/data.parquet", etag)]);
        let digest = |listing: &Listing| job("weekly", listing, None).output.inputs_digest;
        assert_ne!(digest(&gold("1")), digest(&gold("2")), "gold is written when it changes");
    }

    #[test]
    fn another_query_makes_gold_out_of_date() {
        let first = job("daily", &sales(), None);
        let text = crate::testing::model(&["silver.sales"], "-- lookahead_days = 1")
            .replace("count(*)", "sum(1)");
        let models = crate::testing::models(&[("sales/daily.sql", text)]);
        let plan = models.plan(
            models.get("daily").unwrap(),
            day("2010-12-01"),
            &sales(),
            Some(&head(&first)),
        );
        assert!(matches!(plan, Plan::Job(_)));
    }

    #[test]
    fn a_day_without_gold_needs_an_input_of_that_day() {
        let models = world();
        let plan = |name: &str, listing: &Listing, head: Option<&GoldHead>| {
            models.plan(models.get(name).unwrap(), day("2010-12-01"), listing, head)
        };
        let tomorrow = listing(&[("silver.sales", "silver/sales/dt=2010-12-02/a.parquet", "1")]);
        assert_eq!(plan("daily", &tomorrow, None), Plan::UpToDate);
        assert_eq!(plan("daily", &Listing::new(), None), Plan::UpToDate);
        let yesterday = listing(&[("gold.daily", "gold/daily/day=2010-11-30/data.parquet", "1")]);
        assert_eq!(plan("weekly", &yesterday, None), Plan::UpToDate);

        let of_hour =
            listing(&[("silver.clicks", "silver/clicks/dt=2010-12-01/hour=09/a.parquet", "1")]);
        assert!(
            matches!(plan("daily", &of_hour, None), Plan::Job(_)),
            "an input of a check counts"
        );
        let today = listing(&[("gold.daily", "gold/daily/day=2010-12-01/data.parquet", "1")]);
        assert!(matches!(plan("weekly", &today, None), Plan::Job(_)));

        // What is in gold is kept up to date, even if every input is gone.
        let gold = head(&job("daily", &sales(), None));
        assert!(matches!(plan("daily", &tomorrow, Some(&gold)), Plan::Job(_)));
        assert!(matches!(plan("daily", &Listing::new(), Some(&gold)), Plan::Job(_)));
    }

    #[test]
    fn a_job_has_the_edited_rows_of_a_reference_table() {
        let models = crate::testing::models(&[
            ("reference/weights.csv", crate::testing::REFERENCE.to_owned()),
            ("sales/daily.sql", crate::testing::model(&["silver.sales", "reference.weights"], "")),
            ("sales/next.sql", crate::testing::model(&["gold.daily"], "-- lookback_days = 1")),
        ]);
        let packaged = job_of(&models, "daily", &sales(), None, &References::new());
        assert_eq!(packaged.views[0].name, "reference__weights");
        assert!(packaged.views[0].sql.contains("('a', '1')"), "{}", packaged.views[0].sql);
        assert!(packaged.sql.contains("from reference__weights"), "{}", packaged.sql);
        assert!(packaged.inputs.iter().all(|input| input.name == "silver.sales"));

        let weights =
            models.reference("weights").unwrap().with_rows("shop_id,weight\na,2\n").unwrap();
        let references = References::from([("weights".to_owned(), weights)]);
        let edited = job_of(&models, "daily", &sales(), Some(&head(&packaged)), &references);
        assert!(edited.views[0].sql.contains("('a', '2')"), "{}", edited.views[0].sql);

        // Downstream, where the columns of a model without rows are found by its query.
        let own_day = listing(&[("gold.next", "gold/next/day=2010-12-01/data.parquet", "1")]);
        let next = job_of(&models, "next", &own_day, Some(&head(&packaged)), &references);
        let empty =
            next.views.iter().find(|view| view.name == "reference__weights__empty").unwrap();
        assert!(empty.sql.contains("where 1 = 0"), "{}", empty.sql);
    }

    #[test]
    fn columns_of_a_missing_gold_input_follow_from_its_query() {
        let gold = head(&job("daily", &sales(), None));
        let job = job("weekly", &Listing::new(), Some(&gold));
        let tables: Vec<_> =
            job.inputs.iter().map(|input| (input.table.as_str(), input.objects.len())).collect();
        assert_eq!(tables, [("silver__sales__empty", 0)]);
        let views: Vec<_> = job.views.iter().map(|view| view.name.as_str()).collect();
        assert_eq!(views, ["gold__daily__empty", "gold__daily"]);
        assert!(job.views[0].sql.contains("from silver__sales__empty"), "{}", job.views[0].sql);
    }

    #[test]
    fn a_gold_input_with_objects_is_read_unchanged() {
        let job = job(
            "weekly",
            &listing(&[("gold.daily", "gold/daily/day=2010-12-01/data.parquet", "1")]),
            None,
        );
        assert_eq!((job.inputs[0].columns.as_ref(), job.inputs[0].objects.len()), (None, 1));
        assert_eq!(job.views[0].sql, "select *\nfrom gold__daily__objects\n");
    }
}
