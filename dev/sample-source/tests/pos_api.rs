//! The POS API over HTTP, against the data behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use chrono::NaiveDate;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use shoplake_sample_source::{
    api::{Faults, Server},
    pos::{DayFiles, Days, Generator, Sale},
    world::World,
};
use tokio::net::TcpListener;

const TOKEN: &str = "a token";

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2010, 12, 1).unwrap()
}

async fn start(days: Days, faults: Faults) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/sales?business_date={}", listener.local_addr().unwrap(), day());
    tokio::spawn(Server::new(days, TOKEN.to_owned(), faults).serve(listener));
    url
}

async fn get(url: &str) -> (StatusCode, Value) {
    let response = Client::new().get(url).bearer_auth(TOKEN).send().await.unwrap();
    let status = response.status();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

async fn all_pages(url: &str, limit: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = get(&format!("{url}&limit={limit}{cursor}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        rows.extend_from_slice(data);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

fn json(sales: &[Sale]) -> Vec<Value> {
    sales.iter().map(|sale| serde_json::to_value(sale).unwrap()).collect()
}

#[tokio::test]
async fn the_pages_of_a_generated_day_are_the_day() {
    let generator = Generator { world: World::new(1), rows_per_day: 230 };
    let url = start(Days::Generated(generator), Faults::default()).await;

    for limit in [1, 7, 230, 1_000] {
        assert_eq!(all_pages(&url, limit).await, json(&generator.sales(day())));
    }
}

#[tokio::test]
async fn the_pages_of_a_day_file_are_the_file() {
    let folder = std::env::temp_dir().join(format!("sample-source-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let header =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
    let line = |number: u32| {
        format!("{},8512{number},MUG,{number},2010-12-01 08:26:00,2.55,17850.0,EIRE", number / 3)
    };
    let file: Vec<_> = std::iter::once(header.to_owned()).chain((1..100).map(line)).collect();
    std::fs::write(folder.join("2010-12-01.csv"), file.join("\n")).unwrap();
    let files = DayFiles::new(&folder);
    let expected = json(&files.sales(day()).unwrap());
    let url = start(Days::Files(files), Faults::default()).await;

    let rows = all_pages(&url, 10).await;

    assert_eq!(rows.len(), 99);
    assert_eq!(rows, expected);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Runs where the data set is at hand: `ONLINE_RETAIL=<folder> cargo test -p
/// shoplake-sample-source`.
#[tokio::test]
async fn every_line_of_the_real_data_is_on_some_page() {
    let Some(folder) = std::env::var_os("ONLINE_RETAIL") else { return };
    let url = start(Days::Files(DayFiles::new(folder)), Faults::default()).await;

    let rows = all_pages(&url, 500).await;

    assert_eq!(rows.len(), 3_108);
    assert_eq!(rows[0]["transaction_id"], "536365");
    let units: i64 = rows.iter().map(|row| row["quantity"].as_i64().unwrap()).sum();
    assert_eq!(units, 26_814);
}

#[tokio::test]
async fn a_wrong_token_is_answered_with_401() {
    let url = start(
        Days::Generated(Generator { world: World::new(1), rows_per_day: 1 }),
        Faults::default(),
    )
    .await;

    let response = Client::new().get(&url).bearer_auth("expired").send().await.unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_unknown_cursor_is_answered_with_400() {
    let url = start(
        Days::Generated(Generator { world: World::new(1), rows_per_day: 1 }),
        Faults::default(),
    )
    .await;

    assert_eq!(get(&format!("{url}&cursor=nonsense")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&format!("{url}&limit=0")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&url.replace("2010-12-01", "yesterday")).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn faults_hit_the_named_requests() {
    let faults = Faults { fail_every: 3, throttle_every: 2, retry_after_seconds: 4 };
    let url =
        start(Days::Generated(Generator { world: World::new(1), rows_per_day: 1 }), faults).await;

    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(get(&url).await.0.as_u16());
    }

    assert_eq!(statuses, [200, 429, 503, 429, 200, 503]);
}
