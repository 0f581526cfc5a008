//! Puts quarantined lines that are valid now to their stream again.

use std::collections::BTreeMap;
use std::io::Read;

use chrono::NaiveDate;
use flate2::read::GzDecoder;
use serde::Deserialize;
use shoplake_aws::stream::pack;
use shoplake_contracts::envelope::UNKNOWN;
use shoplake_contracts::{Contracts, Delivery, ReadEnvelope, ReceiptDays};
use shoplake_lake::keys::{self, LakeKey};
use shoplake_lake::{Store, keys::quarantine_day};
use shoplake_platform::failure::Failure;

use crate::failure::Failures;
use crate::response::{Redriven, RedrivenLines};

use super::{Redrive, retryable};

/// A line of a quarantine object: the fields that are read here.
#[derive(Debug, Deserialize)]
struct Quarantined<'a> {
    /// The original line.
    envelope: String,
    envelope_encoding: &'a str,
    #[serde(borrow)]
    origin: Origin<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Origin<'a> {
    Kinesis { stream: &'a str },
    Bronze { key: &'a str },
}

/// Why an object is not one of quarantine.
#[derive(Debug, thiserror::Error)]
enum ObjectError {
    #[error(transparent)]
    Gzip(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("invalid origin {0:?}: expected the key of a bronze object")]
    Origin(String),
}

impl Redrive {
    /// Puts the day's quarantined lines of a dataset that are valid now to the stream that they
    /// came from, byte for byte: after a contract was relaxed or a dataset was added. It skips
    /// lines that are still invalid, because they would be quarantined again. An object that fails
    /// keeps no other object back.
    pub(crate) async fn quarantined(
        &self,
        lake: &dyn Store,
        dataset: String,
        day: NaiveDate,
    ) -> Result<Redriven, Failure> {
        if dataset != UNKNOWN && self.contracts.get(&dataset).is_none() {
            let known =
                self.contracts.iter().map(|contract| contract.dataset.as_str()).collect::<Vec<_>>();
            let known = known.join(", ");
            return Err(Failure::permanent(format!(
                "unknown dataset {dataset:?}: expected one of {known} or {UNKNOWN}"
            )));
        }
        let mut counts = RedrivenLines::default();
        let mut failures = Failures::default();
        for entry in lake.list(&quarantine_day(&dataset, day)).await.map_err(Failure::retryable)? {
            match self.object(lake, &entry.key, &mut counts).await {
                Ok(()) => failures.succeeded(),
                Err(failure) => failures.add(&entry.key, failure),
            }
            if failures.show_an_outage() {
                break;
            }
        }
        tracing::info!(
            dataset,
            %day,
            objects = counts.objects,
            sent = counts.sent,
            still_wrong = counts.still_wrong,
            "redrive of quarantined lines"
        );
        failures.or(Redriven::Quarantine { quarantine: dataset, day, lines: counts })
    }

    /// Puts the lines of one object that are valid now to their streams, and counts them.
    async fn object(
        &self,
        lake: &dyn Store,
        key: &str,
        counts: &mut RedrivenLines,
    ) -> Result<(), Failure> {
        let Some(object) = lake.get(key).await.map_err(Failure::retryable)? else {
            return Ok(());
        };
        let (lines, invalid) = self.lines(&object.bytes).map_err(|error| {
            Failure::permanent(format!("it was not written by conform: {error}"))
        })?;
        for ((stream, _), lines) in &lines {
            let records = pack(lines).into_iter().map(|packed| packed.record).collect();
            self.stream.put(stream, records).await.map_err(retryable)?;
            counts.sent += lines.len();
        }
        counts.objects += 1;
        counts.still_wrong += invalid;
        Ok(())
    }

    /// Returns the lines of a quarantine object that are valid now, by stream and shop, and how
    /// many are not.
    #[expect(clippy::type_complexity, reason = "a name would say no more than the words above")]
    fn lines(
        &self,
        object: &[u8],
    ) -> Result<(BTreeMap<(String, String), Vec<String>>, usize), ObjectError> {
        let mut ndjson = String::new();
        GzDecoder::new(object).read_to_string(&mut ndjson)?;
        let mut lines: BTreeMap<_, Vec<String>> = BTreeMap::new();
        let mut invalid = 0;
        for line in ndjson.lines() {
            let line: Quarantined<'_> = serde_json::from_str(line)?;
            match shop_if_valid(&self.contracts, &line) {
                Some(shop) => {
                    lines
                        .entry((self.stream_of(&line.origin)?, shop))
                        .or_default()
                        .push(line.envelope);
                }
                None => invalid += 1,
            }
        }
        Ok((lines, invalid))
    }

    fn stream_of(&self, origin: &Origin<'_>) -> Result<String, ObjectError> {
        match origin {
            Origin::Kinesis { stream } => Ok((*stream).to_owned()),
            Origin::Bronze { key } => match keys::parse(key) {
                Some(LakeKey::Bronze { source, .. }) => {
                    Ok(format!("{}-{source}", self.stream_prefix))
                }
                _ => Err(ObjectError::Origin((*key).to_owned())),
            },
        }
    }
}

/// Returns the shop of a line that is a valid envelope of a dataset; `None` if it is not.
fn shop_if_valid(contracts: &Contracts, line: &Quarantined<'_>) -> Option<String> {
    if line.envelope_encoding != "utf-8" {
        return None;
    }
    // The time of its second arrival is not known yet, and its receipt does not change.
    let envelope = ReadEnvelope::read(line.envelope.as_bytes(), ReceiptDays::new(None));
    let (stamp, data) = envelope.content()?;
    let contract = contracts.get(envelope.dataset.as_deref()?)?;
    let is_valid = contract.delivery != Delivery::Internal
        && envelope.oversized_bytes.is_none()
        && contract.validate(stamp, data.get().as_bytes()).is_ok();
    is_valid.then(|| stamp.shop.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use flate2::write::GzEncoder;
    use serde_json::{Value, json};
    use shoplake_aws::stream::{MemoryStream, PutFailure, Times};
    use shoplake_lake::{Condition, MemoryStore, Metadata};
    use shoplake_testing::{envelope, visits};

    use super::*;
    use crate::testing;

    fn kinesis() -> Value {
        json!({"stream": "shoplake-local-web", "shard": "shardId-000000000000", "sequence": "7",
        "line": 1})
    }

    fn quarantined(envelope: &str, origin: &Value) -> Value {
        json!({
            "failure": {"kind": "contract_violation", "reasons": []}, "contract": "visits",
            "envelope": envelope,
            "envelope_encoding": "utf-8", "origin": origin,
            "processor": {"name": "shoplake-conform", "version": "0.1.0"},
        })
    }

    async fn lake(lines: &[Value]) -> MemoryStore {
        let lake = MemoryStore::default();
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        for line in lines {
            writeln!(encoder, "{line}").unwrap();
        }
        let key = keys::quarantine("visits", day(), "x");
        lake.put(&key, encoder.finish().unwrap().into(), Metadata::new(), Condition::Always)
            .await
            .unwrap();
        lake
    }

    fn day() -> NaiveDate {
        "2026-11-21".parse().unwrap()
    }

    fn redrive() -> (Redrive, Arc<MemoryStream>) {
        let stream = Arc::new(MemoryStream::default());
        (Redrive { stream: stream.clone(), ..testing::redrive() }, stream)
    }

    async fn run(
        redrive: &Redrive,
        lake: &MemoryStore,
        dataset: &str,
    ) -> Result<RedrivenLines, Failure> {
        match redrive.quarantined(lake, dataset.to_owned(), day()).await? {
            Redriven::Quarantine { lines, .. } => Ok(lines),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn visit(id: &str) -> Value {
        serde_json::from_str(&visits::event(id)).unwrap()
    }

    #[tokio::test]
    async fn valid_lines_are_put_to_the_stream_they_came_from() {
        let (redrive, stream) = redrive();
        let (web, pos) = (
            envelope("a", "visits", "m1", &visit("1")),
            envelope("b", "visits", "m2", &visit("2")),
        );
        let bronze =
            json!({"bucket": "lake", "key": "bronze/pos/dt=2026-11-21/hour=10/x.gz", "line": 3});
        let lake = lake(&[quarantined(&web, &kinesis()), quarantined(&pos, &bronze)]).await;

        let counts = run(&redrive, &lake, "visits").await.unwrap();

        assert_eq!(counts, RedrivenLines { objects: 1, sent: 2, still_wrong: 0 });
        assert_eq!(stream.lines("shoplake-local-web"), [web]);
        assert_eq!(stream.lines("shoplake-local-pos"), [pos]);
        assert_eq!(
            lake.keys().len(),
            1,
            "the quarantine object stays, as a record of what happened"
        );
    }

    #[tokio::test]
    async fn invalid_lines_are_counted_and_not_sent() {
        let (redrive, stream) = redrive();
        let not_utf8 = json!({
            "failure": {"kind": "malformed_record", "reasons": []}, "contract": null,
            "envelope": "/w==",
            "envelope_encoding": "base64", "origin": kinesis(), "processor": {"name": "x",
            "version": "0"},
        });
        let lines = [
            quarantined(&envelope("a", "visits", "m1", &json!({"event_id": 1})), &kinesis()),
            quarantined(&envelope("A/../b", "visits", "m2", &visit("2")), &kinesis()),
            quarantined(&envelope("a", "nothing", "m3", &visit("3")), &kinesis()),
            quarantined(&envelope("a", "visits", "", &visit("4")), &kinesis()),
            quarantined("garbage", &kinesis()),
            not_utf8,
            quarantined(&envelope("a", "visits", "m5", &visit("5")), &kinesis()),
        ];
        let counts = run(&redrive, &lake(&lines).await, "visits").await.unwrap();
        assert_eq!(counts, RedrivenLines { objects: 1, sent: 1, still_wrong: 6 });
        assert_eq!(stream.lines("shoplake-local-web").len(), 1);
    }

    #[tokio::test]
    async fn a_line_that_conform_would_refuse_again_is_not_sent() {
        let (redrive, stream) = redrive();
        let with =
            |attribute: &str, line: String| line.replacen('{', &format!("{{{attribute},"), 1);
        let right = |id: &str| envelope("a", "visits", id, &visit("1"));
        let old = |id: &str| right(id).replace(r#""occurred_at":"2026"#, r#""occurred_at":"2010"#);
        let lines = [
            right("a\0b"),
            old("m1"),
            right("m2").replace(r#""receivedat":"2026"#, r#""receivedat":"1926"#),
            with(r#""oversizedbytes":"2000000""#, right("m3")),
            with(r#""backfill":"No Name""#, right("m4")),
            with(r#""subject":7"#, right("m5")),
            envelope("a", "visits", "m6", &visit("\u{FFFF}")),
            with(r#""backfill":"history-2010""#, old("m7")),
        ];
        let lines: Vec<_> = lines.iter().map(|line| quarantined(line, &kinesis())).collect();
        let counts = run(&redrive, &lake(&lines).await, "visits").await.unwrap();
        assert_eq!(counts, RedrivenLines { objects: 1, sent: 1, still_wrong: 7 });
        assert!(stream.lines("shoplake-local-web")[0].contains("m7"));
    }

    #[tokio::test]
    async fn a_failed_redrive_may_be_repeated() {
        let (redrive, stream) = redrive();
        let down = PutFailure::Unavailable("no answer".to_owned());
        stream.reject(Times::First(5), down, |_| true);
        let lake =
            lake(&[quarantined(&envelope("a", "visits", "m1", &visit("1")), &kinesis())]).await;
        assert!(!run(&redrive, &lake, "visits").await.unwrap_err().is_permanent());
        run(&redrive, &lake, "visits").await.unwrap();
        assert_eq!(stream.lines("shoplake-local-web").len(), 1);
    }

    #[tokio::test]
    async fn an_unreadable_object_keeps_no_other_back() {
        let (redrive, stream) = redrive();
        let lake =
            lake(&[quarantined(&envelope("a", "visits", "m1", &visit("1")), &kinesis())]).await;
        let broken = keys::quarantine("visits", day(), "a");
        lake.put(&broken, "?".into(), Metadata::new(), Condition::Always).await.unwrap();

        let failure = run(&redrive, &lake, "visits").await.unwrap_err();

        assert!(failure.is_permanent() && failure.to_string().starts_with(&broken), "{failure}");
        assert_eq!(stream.lines("shoplake-local-web").len(), 1);
    }

    #[tokio::test]
    async fn a_day_without_quarantine_sends_nothing() {
        let (redrive, _) = redrive();
        let lake = MemoryStore::default();
        let counts = run(&redrive, &lake, "_unknown").await.unwrap();
        assert_eq!(counts, RedrivenLines::default());
        let failure = run(&redrive, &lake, "visit").await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "unknown dataset \"visit\": expected one of visits or _unknown"
        );
    }
}
