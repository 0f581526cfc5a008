//! The lake on Amazon S3.

use std::ops::Range;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::primitives::DateTime as SdkDateTime;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::store::{
    Condition, ETag, Entry, Folders, Head, Metadata, Object, PutError, Store, StoreError,
};

/// A bucket as a lake.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    bucket: String,
}

impl S3Store {
    /// Returns the lake in `bucket`, with the region, credentials and endpoint of `config`.
    pub fn new(config: &SdkConfig, bucket: impl Into<String>) -> Self {
        let builder = aws_sdk_s3::config::Builder::from(config)
            // A local cloud sets an endpoint and does not resolve buckets as host names.
            .force_path_style(
                config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL").is_some(),
            );
        Self { client: Client::from_conf(builder.build()), bucket: bucket.into() }
    }

    /// Calls `visit` with each object of the folders, in the order of their keys.
    async fn each(
        &self,
        folders: Folders<'_>,
        mut visit: impl FnMut(Entry) + Send,
    ) -> Result<(), StoreError> {
        let (prefix, end) = (folders.prefix(), folders.end());
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let mut pages = request.start_after(folders.start_after()).into_paginator().send();
        // ListObjectsV2 has no end but the prefix's, so the loop ends with the page that passes the
        // end of the range.
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list", prefix, error))?;
            let mut page = page.contents.unwrap_or_default().into_iter().map(entry).peekable();
            while let Some(entry) = page.next_if(|entry| entry.key < end) {
                if folders.contain(&entry.key) {
                    visit(entry);
                }
            }
            if page.peek().is_some() {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for S3Store {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let output = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(output) => output,
            Err(error)
                if matches!(error.as_service_error(), Some(GetObjectError::NoSuchKey(_))) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed("read", key, error)),
        };
        let head = Head {
            etag: ETag::new(output.e_tag.unwrap_or_default()),
            size: output.content_length.unwrap_or_default().unsigned_abs(),
            last_modified: time(output.last_modified),
            metadata: output.metadata.unwrap_or_default().into_iter().collect(),
        };
        let body = output.body.collect().await.map_err(|error| failed("read", key, error))?;
        Ok(Some(Object { head, bytes: body.into_bytes() }))
    }

    async fn get_range(
        &self,
        key: &str,
        etag: &ETag,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, StoreError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let range = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let output = match request.if_match(etag.as_str()).range(range).send().await {
            Ok(output) => output,
            Err(error) if lost_the_race(&error) => return Ok(None),
            Err(error) => return Err(failed("read", key, error)),
        };
        let body = output.body.collect().await.map_err(|error| failed("read", key, error))?;
        Ok(Some(body.into_bytes()))
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let output = match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(output) => output,
            Err(error)
                if matches!(error.as_service_error(), Some(HeadObjectError::NotFound(_))) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed("look at", key, error)),
        };
        Ok(Some(Head {
            etag: ETag::new(output.e_tag.unwrap_or_default()),
            size: output.content_length.unwrap_or_default().unsigned_abs(),
            last_modified: time(output.last_modified),
            metadata: output.metadata.unwrap_or_default().into_iter().collect(),
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list", prefix, error))?;
            entries.extend(page.contents.unwrap_or_default().into_iter().map(entry));
        }
        Ok(entries)
    }

    async fn list_range(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        self.each(Folders::new(prefix, first, last), |entry| entries.push(entry)).await?;
        Ok(entries)
    }

    async fn newest(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let mut newest = None;
        let folders = Folders::new(prefix, first, last);
        self.each(folders, |entry| newest = newest.max(Some(entry.last_modified))).await?;
        Ok(newest)
    }

    async fn next(&self, prefix: &str, after: &str) -> Result<Option<Entry>, StoreError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let output = request.start_after(after).max_keys(1).send().await;
        let output = output.map_err(|error| failed("list", prefix, error))?;
        Ok(output.contents.unwrap_or_default().into_iter().next().map(entry))
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .set_metadata(Some(metadata.into_iter().collect()))
            .body(bytes.into());
        let request = match &condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Matches(etag) => request.if_match(etag.as_str()),
        };
        match request.send().await {
            Ok(output) => Ok(ETag::new(output.e_tag.unwrap_or_default())),
            Err(error) if condition != Condition::Always && lost_the_race(&error) => {
                Err(PutError::Conflict { key: key.to_owned() })
            }
            Err(error) => Err(failed("write", key, error).into()),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let request = self.client.delete_object().bucket(&self.bucket).key(key);
        request.send().await.map(|_| ()).map_err(|error| failed("delete", key, error))
    }
}

/// Returns whether another writer was first. 412: the condition does not hold. 409: another
/// conditional write is under way. 404: `If-Match` on a deleted object.
fn lost_the_race<E>(error: &SdkError<E>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    matches!(status, Some(404 | 409 | 412))
}

fn failed(action: &'static str, key: &str, error: impl std::error::Error) -> StoreError {
    StoreError { action, key: key.to_owned(), cause: DisplayErrorContext(error).to_string() }
}

fn entry(object: aws_sdk_s3::types::Object) -> Entry {
    Entry {
        key: object.key.unwrap_or_default(),
        etag: ETag::new(object.e_tag.unwrap_or_default()),
        size: object.size.unwrap_or_default().unsigned_abs(),
        last_modified: time(object.last_modified),
    }
}

fn time(value: Option<SdkDateTime>) -> DateTime<Utc> {
    value
        .and_then(|time| DateTime::from_timestamp(time.secs(), time.subsec_nanos()))
        .unwrap_or_default()
}
