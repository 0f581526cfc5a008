//! Whole Lambda payloads of web events, from Kinesis event JSON to Parquet, on one core; throughput
//! in events.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use shoplake_conform::{Conformer, Layout};
use shoplake_contracts::Contracts;

/// What Lambda delivers at most in one invocation.
const PAYLOAD_BYTES: usize = 6_000_000;
/// What the webhook packs into one record at most.
const RECORD_BYTES: usize = 25_000;

const USER_AGENTS: [&str; 8] = [
    concat!(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, ",
        "like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
    ),
    concat!(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) ",
        "Chrome/126.0.0.0 Safari/537.36"
    ),
    concat!(
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) ",
        "Chrome/126.0.0.0 Mobile Safari/537.36"
    ),
    concat!(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like ",
        "Gecko) Version/17.5 Safari/605.1.15"
    ),
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    concat!(
        "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) ",
        "Version/17.5 Mobile/15E148 Safari/604.1"
    ),
    concat!(
        "Mozilla/5.0 (Linux; Android 13; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) ",
        "Chrome/125.0.0.0 Mobile Safari/537.36"
    ),
];
const DEVICES: [(&str, &str, &str); 8] = [
    ("mobile", "iOS", "Safari"),
    ("desktop", "Windows", "Chrome"),
    ("mobile", "Android", "Chrome"),
    ("desktop", "macOS", "Safari"),
    ("desktop", "Linux", "Firefox"),
    ("desktop", "Windows", "Firefox"),
    ("tablet", "iOS", "Safari"),
    ("mobile", "Android", "Chrome"),
];

fn uuid(random: &mut StdRng) -> String {
    let hex = format!("{:032x}", random.random::<u128>());
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// One event as a tracker sends it, about 550 bytes, in its envelope.
fn line(random: &mut StdRng, sessions: &[(String, String)], number: usize) -> String {
    let (session, visitor) = &sessions[random.random_range(0..sessions.len())];
    let shop = random.random_range(1..400);
    let customer = if random.random_bool(0.4) {
        format!("\"u_{:07}\"", random.random_range(0..900_000))
    } else {
        "null".to_owned()
    };
    let event_type = ["page_view", "product_view", "add_to_cart", "checkout", "purchase", "search"]
        [(random.random::<f64>().powi(3) * 6.0) as usize];
    let referrer = match random.random_range(0..5) {
        0 => "null".to_owned(),
        1 => "\"https://www.google.com/\"".to_owned(),
        2 => "\"https://www.facebook.com/\"".to_owned(),
        _ => {
            format!("\"https://shop{shop}.example.com/collections/{}\"", random.random_range(1..40))
        }
    };
    let utm = if random.random_bool(0.35) {
        let source = ["google", "facebook", "tiktok"][random.random_range(0..3)];
        format!(
            ",\"utm\":{{\"source\":\"{source}\",\"medium\":\"cpc\",\"campaign\":\"bf_2026_{}\"}}",
            random.random_range(1..30)
        )
    } else {
        String::new()
    };
    let kind = random.random_range(0..8);
    let (device, os, browser) = DEVICES[kind];
    let (minute, second, millisecond) = (number / 600 % 60, number / 10 % 60, number * 100 % 1000);
    let data = format!(
        "{{\"event_id\":\"{}\",\"session_id\":\"{session}\",\"visitor_id\":\"{visitor}\",\
         \"customer_id\":{customer},\"event_type\":\"{event_type}\",\
         \"occurred_at\":\"2026-11-20T12:{minute:02}:{second:02}.{millisecond:03}Z\",\
         \"page_url\":\"https://shop{shop}.example.com/products/item-{}?variant={}\",\
         \"referrer\":{referrer},\"user_agent\":\"{}\",\"device\":{{\"type\":\"{device}\",\
         \"os\":\"{os}\",\"browser\":\"{browser}\"}}{utm},\"duration_ms\":{}}}",
        uuid(random),
        random.random_range(1..20_000),
        random.random_range(1..9),
        USER_AGENTS[kind],
        random.random_range(5..60_000),
    );
    let id = uuid(random);
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{id}.0\",\"source\":\"/shops/shop_{shop:04}/web\",\
         \"type\":\"web_traffic.received\",\"shopid\":\"shop_{shop:04}\",\
         \"dataset\":\"web_traffic\",\
         \"receivedat\":\"2026-11-20T12:{minute:02}:{second:02}.{millisecond:03}123Z\",\
         \"datacontenttype\":\"application/json\",\"data\":{data}}}\n"
    )
}

/// A payload as large as Lambda's limit, of records of at most `record_bytes`; and how many events
/// are in it.
fn payload(record_bytes: usize) -> (String, u64) {
    let mut random = StdRng::seed_from_u64(42);
    let sessions: Vec<_> = (0..400).map(|_| (uuid(&mut random), uuid(&mut random))).collect();
    let mut payload = String::from("{\"Records\":[");
    let mut events = 0;
    let mut next = line(&mut random, &sessions, 0);
    for number in 0.. {
        let mut record = std::mem::take(&mut next);
        let mut in_record = 1;
        loop {
            next = line(&mut random, &sessions, events as usize + in_record);
            if record.len() + next.len() > record_bytes {
                break;
            }
            record.push_str(&next);
            in_record += 1;
        }
        let sequence = format!("4959033827149025660855969253836157109592157598{number:010}");
        let record = format!(
            "{{\"kinesis\":{{\"kinesisSchemaVersion\":\"1.0\",\"partitionKey\":\"{}\",\
             \"sequenceNumber\":\"{sequence}\",\"data\":\"{}\",\
             \"approximateArrivalTimestamp\":1795179600.987}},\"eventSource\":\"aws:kinesis\",\
             \"eventVersion\":\"1.0\",\"eventID\":\"shardId-000000000006:{sequence}\",\
             \"eventName\":\"aws:kinesis:record\",\
             \"invokeIdentityArn\":\"arn:aws:iam::123456789012:role/lambda-role\",\
             \"awsRegion\":\"us-east-1\",\
             \"eventSourceARN\":\"arn:aws:kinesis:us-east-1:123456789012:stream/\
             shoplake-prod-web\"}}",
            random.next_u32(),
            base64_simd::STANDARD.encode_to_string(record),
        );
        if payload.len() + record.len() + 3 > PAYLOAD_BYTES {
            break;
        }
        if number > 0 {
            payload.push(',');
        }
        payload.push_str(&record);
        events += in_record as u64;
    }
    payload.push_str("]}");
    (payload, events)
}

fn conform(criterion: &mut Criterion) {
    let layout = Layout {
        silver: |dataset, partition, name| {
            format!("silver/{dataset}/{}/{name}.parquet", partition.silver_folder())
        },
        quarantine: |dataset, day, name| format!("quarantine/{dataset}/dt={day}/{name}.ndjson.gz"),
    };
    let schema = shoplake_testing::schema("web_traffic");
    let contracts =
        Contracts::from_sources([("web_traffic", &schema)]).expect("the schema compiles");
    let conformer = Conformer::new(contracts, layout);
    let mut group = criterion.benchmark_group("kinesis payload to parquet");
    group.sample_size(30);
    for (name, record_bytes) in [("one event per record", 0), ("25 KB per record", RECORD_BYTES)] {
        let (payload, events) = payload(record_bytes);
        let output = conformer.conform_kinesis(&payload).expect("a payload");
        let parquet: usize = output.objects.iter().map(|object| object.bytes.len()).sum();
        println!("{name}: {} bytes, {events} events -> {parquet} bytes of Parquet", payload.len());
        assert_eq!(output.counts["web_traffic"].silver_rows, events, "every event is valid");
        group.throughput(Throughput::Elements(events));
        group.bench_function(name, |bencher| {
            bencher.iter(|| conformer.conform_kinesis(black_box(&payload)))
        });
    }
    group.finish();
}

criterion_group!(benches, conform);
criterion_main!(benches);
