//! Plans the job of a dirty partition.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use shoplake_index::{GoldHead, ReferenceTable, References};
use shoplake_jobs::{
    JOB_VERSION, JobCheck, JobDocument, JobInput, JobOutput, JobPartition, Partition, Severity,
    View,
};
use shoplake_lake::Entry;

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
    /// A partition without gold and without an input of its own day is empty and not computed, even
    /// if other days of its window have inputs. Otherwise a lookback of 30 days would compute 30
    /// days of the future. A partition that is in gold stays up to date.
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
        if head.is_none() && !self.has_input_for_partition(partition, listing) {
            return Plan::UpToDate;
        }
        let tables = self.tables(model, listing, references);
        let checks = model.job_checks();
        let partition = JobPartition { column: model.partition.clone(), value: partition };
        let sql = render::partition_query(&model.query.render(view_name), &partition);

        let inputs_digest = inputs_digest(listing, &tables, &sql, &model.key, &checks);
        if head.is_some_and(|head| head.inputs == inputs_digest) {
            return Plan::UpToDate;
        }

        let expected_etag = head.map(|head| head.etag.to_string());
        let value = partition.value.to_string();
        let id = digest(
            [&model.name, &value, &inputs_digest, expected_etag.as_ref().unwrap_or(&String::new())]
                .map(String::as_str),
        );
        Plan::Job(Box::new(JobDocument {
            version: JOB_VERSION,
            id,
            model: model.name.clone(),
            inputs: tables.inputs,
            views: tables.views,
            sql,
            key: model.key.clone(),
            sort: model.key.clone(),
            checks,
            downstream: self.downstream(&model.name),
            output: JobOutput {
                key: model.output_key(partition.value),
                expected_etag,
                version: head.map_or(0, |head| head.version) + 1,
                inputs_digest,
            },
            warehouse: model.warehouse.clone(),
            notice: model.alert.clone(),
            personal: self.personal.iter().cloned().collect(),
            partition,
        }))
    }

    /// Returns whether an input has an object of the partition's own day.
    fn has_input_for_partition(&self, partition: Partition, listing: &Listing) -> bool {
        listing.iter().any(|(input, entries)| {
            entries.iter().any(|entry| self.is_in_day(input, partition, &entry.key))
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
    fn tables(&self, model: &Model, listing: &Listing, references: &References) -> Tables {
        let mut tables = Tables::default();
        for input in model.all_inputs() {
            if let Some(table) = self.reference_table(input, references) {
                tables.view(view_name(input), table.sql());
                continue;
            }
            let mut objects: Vec<_> =
                listing.get(input).into_iter().flatten().map(|entry| entry.key.clone()).collect();
            objects.sort();
            objects.dedup();
            if let Some(dataset) = self.dataset(input) {
                tables.inputs.push(JobInput {
                    table: objects_name(input),
                    name: input.to_owned(),
                    columns: Some(dataset.columns.clone()),
                    objects,
                });
                tables.view(view_name(input), dataset.deduplicated.clone());
            } else if !objects.is_empty() {
                tables.inputs.push(JobInput {
                    table: objects_name(input),
                    name: input.to_owned(),
                    columns: None,
                    objects,
                });
                // A partition of a model is one object, so it has no duplicates to remove.
                tables.view(view_name(input), format!("select *\nfrom {}\n", objects_name(input)));
            } else if let Some(upstream) = self.by_reference(input) {
                self.add_empty(upstream, &mut tables);
                tables.view(view_name(input), format!("select *\nfrom {}\n", empty_name(input)));
            }
        }
        tables
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
                tables.inputs.push(JobInput {
                    table: empty_name(input),
                    name: input.clone(),
                    columns: Some(dataset.columns.clone()),
                    objects: Vec::new(),
                });
            }
        }
        tables.view(empty_name(&model.reference), model.query.render(empty_name));
    }
}

/// The tables and views of a job.
#[derive(Default)]
struct Tables {
    inputs: Vec<JobInput>,
    views: Vec<View>,
}

impl Tables {
    fn view(&mut self, name: String, sql: String) {
        self.views.push(View { name, sql });
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
    /// loaded or alerted on. A model groups by its key, so they fail for a wrong model and never
    /// for the data of a shop.
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
        let key_checks = [
            (
                "key_is_not_null",
                "no column of the key is null",
                render::key_is_null(&rows, &self.key),
            ),
            ("key_is_unique", "no key occurs twice", render::key_repeats(&rows, &self.key)),
        ];
        key_checks
            .into_iter()
            .map(|(name, description, sql)| JobCheck {
                name: format!("{}_{name}", self.name),
                severity: Severity::Error,
                description: description.to_owned(),
                sql,
            })
            .chain(own)
            .collect()
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
    let objects: BTreeSet<_> = listing
        .iter()
        .flat_map(|(input, entries)| {
            entries
                .iter()
                .map(move |entry| [input.as_str(), entry.key.as_str(), entry.etag.as_str()])
        })
        .collect();
    let mut texts: Vec<Cow<'_, str>> = objects.into_iter().flatten().map(Cow::Borrowed).collect();
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
    use shoplake_lake::ETag;

    use super::*;
    use crate::testing::{day, world};

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
    fn a_job_says_everything_that_an_engine_needs() {
        let job = job("daily", &sales(), None);
        insta::assert_snapshot!(serde_json::to_string_pretty(&job).unwrap());
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<JobDocument>(&text).unwrap(), job);
    }

    #[test]
    fn the_sql_of_a_job_reads_well() {
        let job = job("daily", &sales(), None);
        let views: Vec<_> =
            job.views.iter().map(|view| format!("-- {}\n{}", view.name, view.sql)).collect();
        insta::assert_snapshot!(format!("{}\n-- query\n{}", views.join("\n"), job.sql));
    }

    #[test]
    fn given_gold_of_the_same_inputs_then_it_is_up_to_date() {
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
    fn given_another_etag_key_or_starting_point_then_it_is_another_job() {
        let first = job("daily", &sales(), None);
        let rewritten = listing(&[("silver.sales", "silver/sales/dt=2010-12-01/a.parquet", "9")]);
        let second = job("daily", &rewritten, Some(&head(&first)));
        assert_ne!(first.id, second.id);
        assert_eq!(
            (second.output.version, second.output.expected_etag.as_deref()),
            (2, Some("\"gold\""))
        );
        assert_ne!(job("daily", &rewritten, None).id, second.id);
        assert_eq!(job("daily", &sales(), None).id, first.id, "planning again gives the same job");
    }

    #[test]
    fn given_another_query_then_the_same_inputs_are_not_up_to_date() {
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
    fn given_objects_of_other_days_only_then_there_is_nothing_to_say_about_the_partition() {
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
    fn given_a_reference_table_then_the_job_carries_the_rows_that_count() {
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
    fn given_a_gold_input_without_objects_then_its_query_tells_its_columns() {
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
    fn given_a_gold_input_with_objects_then_it_is_read_as_it_is() {
        let job = job(
            "weekly",
            &listing(&[("gold.daily", "gold/daily/day=2010-12-01/data.parquet", "1")]),
            None,
        );
        assert_eq!((job.inputs[0].columns.as_ref(), job.inputs[0].objects.len()), (None, 1));
        assert_eq!(job.views[0].sql, "select *\nfrom gold__daily__objects\n");
    }
}
