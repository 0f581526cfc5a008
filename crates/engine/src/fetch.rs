//! Fetches the objects of a job: whole, or the row groups that have rows of the days that are read.

use std::ops::Range;

use arrow::array::types::Date32Type;
use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use shoplake_jobs::{InputDays, JobInput};
use shoplake_lake::{Head, Object, Store};

use crate::cache::Cache;
use crate::error::EngineError;

/// The bytes at the end of an object that are fetched for its footer. Most footers are smaller.
const FOOTER_BYTES: u64 = 64 * 1024;

/// A fetched object and its footer.
pub(crate) struct Fetched<'j> {
    pub(crate) key: &'j str,
    pub(crate) head: Head,
    pub(crate) footer: ArrowReaderMetadata,
    /// The row groups that are read.
    pub(crate) row_groups: Vec<usize>,
    pub(crate) pieces: Pieces,
}

impl Fetched<'_> {
    /// Returns whether all of the object was fetched.
    pub(crate) fn is_whole(&self) -> bool {
        let size = self.head.size;
        matches!(self.pieces.pieces.as_slice(), [(0, bytes)] if bytes.len() as u64 == size)
    }
}

/// Parts of an object, each with its place in the object.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    size: u64,
    pieces: Vec<(u64, Bytes)>,
}

impl Pieces {
    fn whole(bytes: Bytes) -> Self {
        Self { size: bytes.len() as u64, pieces: vec![(0, bytes)] }
    }

    /// Returns the object, if all of it was fetched.
    pub(crate) fn into_file(self) -> Bytes {
        self.pieces.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default()
    }

    /// Returns the bytes from `start` to the end of their piece.
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let piece = self.pieces.iter().find_map(|(place, bytes)| {
            let offset = usize::try_from(start.checked_sub(*place)?).ok()?;
            (offset < bytes.len()).then(|| bytes.slice(offset..))
        });
        piece.ok_or_else(|| ParquetError::EOF(format!("byte {start} was not fetched")))
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Pieces {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.from(start).map(Buf::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} were not fetched")));
        }
        Ok(bytes.slice(..length))
    }
}

/// Fetches an object of the input, the one with this number.
pub(crate) async fn object<'j>(
    store: &dyn Store,
    cache: &Cache,
    input: &'j JobInput,
    number: usize,
) -> Result<Fetched<'j>, EngineError> {
    let key = input.objects[number].as_str();
    let missing = || EngineError::MissingObject { table: input.name.clone(), key: key.to_owned() };
    let unreadable = |error: ParquetError| EngineError::Unreadable {
        table: input.name.clone(),
        key: key.to_owned(),
        cause: error.to_string(),
    };
    let options = ArrowReaderOptions::default();
    let Some(days) = &input.days else {
        let size = input.sizes.get(number).copied();
        let object = whole(store, cache, key, size).await?.ok_or_else(missing)?;
        let footer = ArrowReaderMetadata::load(&object.bytes, options).map_err(unreadable)?;
        let row_groups = (0..footer.metadata().num_row_groups()).collect();
        let Object { head, bytes } = object;
        return Ok(Fetched { key, head, footer, row_groups, pieces: Pieces::whole(bytes) });
    };
    let head = store.head(key).await?.ok_or_else(missing)?;
    let part = |range: Range<u64>| part(store, cache, key, &head, range);
    let mut first = head.size.saturating_sub(FOOTER_BYTES);
    let mut end = part(first..head.size).await?.ok_or_else(missing)?;
    let mut reader = ParquetMetaDataReader::new();
    if let Err(error) = reader.try_parse_sized(&end, head.size) {
        let ParquetError::NeedMoreData(needed) = error else { return Err(unreadable(error)) };
        first = head.size.saturating_sub(needed as u64);
        end = part(first..head.size).await?.ok_or_else(missing)?;
        reader.try_parse_sized(&end, head.size).map_err(unreadable)?;
    }
    let file = reader.finish().map_err(unreadable)?;
    let row_groups = row_groups(&file, days);
    let mut pieces = vec![(first, end)];
    for range in ranges(&file, &row_groups).into_iter().filter(|range| range.start < first) {
        pieces.push((range.start, part(range).await?.ok_or_else(missing)?));
    }
    let footer = ArrowReaderMetadata::try_new(file.into(), options).map_err(unreadable)?;
    let pieces = Pieces { size: head.size, pieces };
    Ok(Fetched { key, head, footer, row_groups, pieces })
}

/// Returns an object. One of a known size is kept in the cache: the key of an object of silver and
/// its size name its content.
async fn whole(
    store: &dyn Store,
    cache: &Cache,
    key: &str,
    size: Option<u64>,
) -> Result<Option<Object>, EngineError> {
    let name = size.map(|size| format!("{key} {size}"));
    if let Some(object) = name.as_ref().and_then(|name| cache.get(name)) {
        return Ok(Some(object));
    }
    let object = store.get(key).await?;
    if let (Some(name), Some(object)) = (name, &object)
        && Some(object.head.size) == size
    {
        cache.put(&name, object);
    }
    Ok(object)
}

/// Returns a part of the version of an object that `head` is of; `None` if it was replaced.
async fn part(
    store: &dyn Store,
    cache: &Cache,
    key: &str,
    head: &Head,
    range: Range<u64>,
) -> Result<Option<Bytes>, EngineError> {
    let name = format!("{key} {} {}..{}", head.etag, range.start, range.end);
    if let Some(object) = cache.get(&name) {
        return Ok(Some(object.bytes));
    }
    let bytes = store.get_range(key, &head.etag, range).await?;
    if let Some(bytes) = &bytes {
        cache.put(&name, &Object { head: head.clone(), bytes: bytes.clone() });
    }
    Ok(bytes)
}

/// Returns the row groups that may have rows of the days.
fn row_groups(file: &ParquetMetaData, days: &InputDays) -> Vec<usize> {
    let day = |day| Date32Type::from_naive_date(day);
    let (first, last) = (day(days.first), day(days.last));
    let may_have_rows = |group: &RowGroupMetaData| {
        let mut columns = group.columns().iter();
        let column = columns.find(|column| column.column_path().string() == days.column);
        match column.and_then(|column| column.statistics()) {
            Some(Statistics::Int32(found)) => {
                let is_before = found.max_opt().is_some_and(|max| *max < first);
                let is_after = found.min_opt().is_some_and(|min| *min > last);
                !is_before && !is_after
            }
            _ => true,
        }
    };
    let groups = file.row_groups().iter().enumerate();
    groups.filter(|(_, group)| may_have_rows(group)).map(|(number, _)| number).collect()
}

/// Returns the bytes of the row groups. Adjacent ones are one range.
fn ranges(file: &ParquetMetaData, row_groups: &[usize]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for number in row_groups {
        let columns = file.row_group(*number).columns().iter().map(|column| column.byte_range());
        let ends = columns.clone().map(|(start, length)| start + length);
        let (Some(start), Some(end)) = (columns.map(|(start, _)| start).min(), ends.max()) else {
            continue;
        };
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}
