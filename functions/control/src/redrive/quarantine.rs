//! Quarantined lines that their contract takes by now: put on their stream again.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::Context;
use chrono::NaiveDate;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};
use shoplake_aws::stream::pack;
use shoplake_contracts::envelope::UNKNOWN;
use shoplake_contracts::{Contracts, Delivery, ReadEnvelope, ReceiptDays};
use shoplake_lake::keys::{self, LakeKey};
use shoplake_lake::{Store, keys::quarantine_day};
use shoplake_platform::failure::Failure;

use super::{Redrive, retryable};

/// One line of a quarantine object, as far as it is needed.
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

impl Redrive {
    /// Puts the day's quarantined lines of a dataset that are right by now on the stream that they
    /// came from, with the bytes that came: after a contract was relaxed or a dataset was added.
    /// Lines that are still wrong stay where they are, instead of going round to quarantine again.
    pub(crate) async fn quarantined(
        &self,
        lake: &dyn Store,
        dataset: &str,
        day: NaiveDate,
    ) -> Result<Value, Failure> {
        if dataset != UNKNOWN && self.contracts.get(dataset).is_none() {
            let known =
                self.contracts.iter().map(|contract| contract.dataset.as_str()).collect::<Vec<_>>();
            let known = known.join(", ");
            return Err(Failure::permanent(format!(
                "expected one of the datasets {known} or {UNKNOWN}, got {dataset:?}"
            )));
        }
        let (mut objects, mut sent, mut still_wrong) = (0, 0, 0);
        for entry in lake.list(&quarantine_day(dataset, day)).await.map_err(Failure::retryable)? {
            let Some(object) = lake.get(&entry.key).await.map_err(Failure::retryable)? else {
                continue;
            };
            let (lines, wrong) = self
                .lines(&object.bytes)
                .with_context(|| format!("{} is not what conform writes", entry.key))
                .map_err(|error| Failure::permanent(format!("{error:#}")))?;
            for ((stream, _), lines) in &lines {
                let records = pack(lines).into_iter().map(|packed| packed.record).collect();
                self.stream.put(stream, records).await.map_err(|error| retryable(error))?;
                sent += lines.len();
            }
            objects += 1;
            still_wrong += wrong;
        }
        tracing::info!(dataset, %day, objects, sent, still_wrong, "redrive of quarantined lines");
        let counts = json!({"objects": objects, "sent": sent, "still_wrong": still_wrong});
        Ok(json!({"quarantine": dataset, "day": day, "lines": counts}))
    }

    /// The lines of a quarantine object that are right by now, by stream and shop, and how many are
    /// not.
    #[expect(clippy::type_complexity, reason = "a name would say no more than the words above")]
    fn lines(
        &self,
        object: &[u8],
    ) -> anyhow::Result<(BTreeMap<(String, String), Vec<String>>, usize)> {
        let mut ndjson = String::new();
        GzDecoder::new(object).read_to_string(&mut ndjson)?;
        let mut lines: BTreeMap<_, Vec<String>> = BTreeMap::new();
        let mut wrong = 0;
        for line in ndjson.lines() {
            let line: Quarantined<'_> = serde_json::from_str(line)?;
            match shop_if_right(&self.contracts, &line) {
                Some(shop) => {
                    lines
                        .entry((self.stream_of(&line.origin)?, shop))
                        .or_default()
                        .push(line.envelope);
                }
                None => wrong += 1,
            }
        }
        Ok((lines, wrong))
    }

    fn stream_of(&self, origin: &Origin<'_>) -> anyhow::Result<String> {
        match origin {
            Origin::Kinesis { stream } => Ok((*stream).to_owned()),
            Origin::Bronze { key } => match keys::parse(key) {
                Some(LakeKey::Bronze { source, .. }) => {
                    Ok(format!("{}-{source}", self.stream_prefix))
                }
                _ => anyhow::bail!("expected the key of a bronze object as origin, got {key:?}"),
            },
        }
    }
}

/// The shop of a line that is an envelope of a dataset whose contract it fulfils.
fn shop_if_right(contracts: &Contracts, line: &Quarantined<'_>) -> Option<String> {
    if line.envelope_encoding != "utf-8" {
        return None;
    }
    // When it arrives again is not known yet; its receipt stays what it was.
    let envelope = ReadEnvelope::read(line.envelope.as_bytes(), ReceiptDays::new(None));
    let (stamp, data) = envelope.content()?;
    let contract = contracts.get(envelope.dataset.as_deref()?)?;
    let is_right = contract.delivery != Delivery::Internal
        && envelope.oversized_bytes.is_none()
        && contract.validate(stamp, data.get().as_bytes()).is_ok();
    is_right.then(|| stamp.shop.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use flate2::write::GzEncoder;
    use shoplake_aws::stream::{MemoryStream, PutFailure, Times};
    use shoplake_lake::{Condition, MemoryStore, Metadata};

    use super::*;
    use crate::testing;

    fn envelope(shop: &str, dataset: &str, id: &str, data: Value) -> String {
        json!({
            "specversion": "1.0", "id": id, "source": format!("/shops/{shop}/web"), "type": format!("{dataset}.received"),
            "shopid": shop, "dataset": dataset, "receivedat": "2026-11-21T10:00:00.000000Z",
            "datacontenttype": "application/json", "data": data,
        })
        .to_string()
    }

    fn kinesis() -> Value {
        json!({"stream": "shoplake-local-web", "shard": "shardId-000000000000", "sequence": "7", "line": 1})
    }

    fn quarantined(envelope: &str, origin: &Value) -> Value {
        json!({
            "failure": {"kind": "contract_violation", "reasons": []}, "contract": "visits", "envelope": envelope,
            "envelope_encoding": "utf-8", "origin": origin, "processor": {"name": "shoplake-conform", "version": "0.1.0"},
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

    fn visit(id: &str) -> Value {
        json!({"visit_id": id, "at": "2026-11-21T10:00:00Z"})
    }

    #[tokio::test]
    async fn given_lines_that_are_right_by_now_then_their_bytes_are_on_the_stream_they_came_from() {
        let (redrive, stream) = redrive();
        let (web, pos) =
            (envelope("a", "visits", "m1", visit("1")), envelope("b", "visits", "m2", visit("2")));
        let bronze =
            json!({"bucket": "lake", "key": "bronze/pos/dt=2026-11-21/hour=10/x.gz", "line": 3});
        let lake = lake(&[quarantined(&web, &kinesis()), quarantined(&pos, &bronze)]).await;

        let answer = redrive.quarantined(&lake, "visits", day()).await.unwrap();

        assert_eq!(answer["lines"], json!({"objects": 1, "sent": 2, "still_wrong": 0}));
        assert_eq!(stream.lines("shoplake-local-web"), [web]);
        assert_eq!(stream.lines("shoplake-local-pos"), [pos]);
        assert_eq!(
            lake.keys().len(),
            1,
            "the quarantine object stays, as a record of what happened"
        );
    }

    #[tokio::test]
    async fn given_lines_that_are_still_wrong_then_they_are_counted_and_not_sent() {
        let (redrive, stream) = redrive();
        let not_utf8 = json!({
            "failure": {"kind": "malformed_record", "reasons": []}, "contract": null, "envelope": "/w==",
            "envelope_encoding": "base64", "origin": kinesis(), "processor": {"name": "x", "version": "0"},
        });
        let lines = [
            quarantined(&envelope("a", "visits", "m1", json!({"visit_id": 1})), &kinesis()),
            quarantined(&envelope("A/../b", "visits", "m2", visit("2")), &kinesis()),
            quarantined(&envelope("a", "nothing", "m3", visit("3")), &kinesis()),
            quarantined(&envelope("a", "visits", "", visit("4")), &kinesis()),
            quarantined("garbage", &kinesis()),
            not_utf8,
            quarantined(&envelope("a", "visits", "m5", visit("5")), &kinesis()),
        ];
        let answer = redrive.quarantined(&lake(&lines).await, "visits", day()).await.unwrap();
        assert_eq!(answer["lines"], json!({"objects": 1, "sent": 1, "still_wrong": 6}));
        assert_eq!(stream.lines("shoplake-local-web").len(), 1);
    }

    #[tokio::test]
    async fn a_line_that_conform_would_refuse_again_is_not_sent() {
        let (redrive, stream) = redrive();
        let with =
            |attribute: &str, line: String| line.replacen('{', &format!("{{{attribute},"), 1);
        let right = |id: &str| envelope("a", "visits", id, visit(id));
        let old = |id: &str| right(id).replace(r#""at":"2026"#, r#""at":"2010"#);
        let lines = [
            right("a\0b"),
            old("m1"),
            right("m2").replace(r#""receivedat":"2026"#, r#""receivedat":"1926"#),
            with(r#""oversizedbytes":"2000000""#, right("m3")),
            with(r#""backfill":"No Name""#, right("m4")),
            with(r#""subject":7"#, right("m5")),
            envelope("a", "visits", "m6", visit("\u{FFFF}")),
            with(r#""backfill":"history-2010""#, old("m7")),
        ];
        let lines: Vec<_> = lines.iter().map(|line| quarantined(line, &kinesis())).collect();
        let answer = redrive.quarantined(&lake(&lines).await, "visits", day()).await.unwrap();
        assert_eq!(answer["lines"], json!({"objects": 1, "sent": 1, "still_wrong": 7}));
        assert!(stream.lines("shoplake-local-web")[0].contains("m7"));
    }

    #[tokio::test]
    async fn given_a_stream_that_is_down_then_the_same_redrive_again_sends_what_was_not_sent() {
        let (redrive, stream) = redrive();
        let down = PutFailure::Unavailable("no answer".to_owned());
        stream.reject(Times::First(5), down, |_| true);
        let lake =
            lake(&[quarantined(&envelope("a", "visits", "m1", visit("1")), &kinesis())]).await;
        assert!(!redrive.quarantined(&lake, "visits", day()).await.unwrap_err().is_permanent());
        redrive.quarantined(&lake, "visits", day()).await.unwrap();
        assert_eq!(stream.lines("shoplake-local-web").len(), 1);
    }

    #[tokio::test]
    async fn given_a_dataset_or_a_day_without_quarantine_then_the_answer_says_so() {
        let (redrive, _) = redrive();
        let lake = MemoryStore::default();
        let answer = redrive.quarantined(&lake, "_unknown", day()).await.unwrap();
        assert_eq!(answer["lines"]["objects"], 0);
        let failure = redrive.quarantined(&lake, "visit", day()).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "expected one of the datasets visits or _unknown, got \"visit\""
        );
    }
}
