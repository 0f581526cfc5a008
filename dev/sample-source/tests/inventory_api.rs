//! The inventory API over HTTP, against the generator behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use reqwest::{Client, StatusCode, Url};
use serde_json::Value;
use shoplake_sample_source::{
    api::{Faults, Server},
    inventory::{Generator, Hour},
    world::World,
};
use tokio::net::TcpListener;

const HOUR: &str = "2026-11-20T10:00:00Z";

async fn start(generator: Generator) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/inventory", listener.local_addr().unwrap());
    tokio::spawn(Server::new(generator, "a token".to_owned(), Faults::default()).serve(listener));
    url
}

async fn get(url: &str, query: &[(&str, &str)]) -> (StatusCode, Value) {
    let url = Url::parse_with_params(url, query).unwrap();
    let response = Client::new().get(url).bearer_auth("a token").send().await.unwrap();
    let status = response.status();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn the_pages_of_an_hour_are_what_the_generator_made() {
    let generator = Generator::new(World { products: 300, ..World::new(1) }, 9, 0);
    let url = start(generator.clone()).await;

    let (mut rows, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let mut query = vec![("snapshot_at", HOUR), ("limit", "1000")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let (status, page) = get(&url, &query).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let data = page["data"].as_array().unwrap();
        sizes.push(data.len());
        rows.extend_from_slice(data);
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }

    let levels = generator.levels(HOUR.parse::<Hour>().unwrap()).unwrap();
    let expected: Vec<_> =
        levels.iter().map(|level| serde_json::to_value(level).unwrap()).collect();
    assert_eq!(rows, expected);
    assert_eq!(sizes[..2], [1_000, 1_000]);
}

#[tokio::test]
async fn a_missing_hour_is_404_and_an_invalid_one_is_400() {
    let url = start(Generator::new(World::new(1), 1, 1)).await;

    assert_eq!(get(&url, &[("snapshot_at", HOUR)]).await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        get(&url, &[("snapshot_at", "2026-11-20T10:30:00Z")]).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(get(&url, &[]).await.0, StatusCode::BAD_REQUEST);
}
