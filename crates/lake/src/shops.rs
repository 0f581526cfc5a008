//! The shops whose rows an object has, in its metadata.

use crate::store::{Head, Metadata};

/// The name of the list in the metadata.
const SHOPS: &str = "shops";

/// Returns the metadata of an object with rows of these shops; empty without shops.
pub fn metadata(shops: &[String]) -> Metadata {
    if shops.is_empty() {
        return Metadata::new();
    }
    Metadata::from([(SHOPS.to_owned(), shops.join(","))])
}

/// Returns the shops that the object's metadata names; none if it does not name them.
pub fn of(head: &Head) -> Vec<&str> {
    head.metadata.get(SHOPS).map(|shops| shops.split(',').collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::ETag;

    #[test]
    fn metadata_names_the_shops_of_an_object() {
        let head = |shops: &[&str]| Head {
            etag: ETag::new("e"),
            size: 0,
            last_modified: DateTime::UNIX_EPOCH,
            metadata: metadata(&shops.iter().map(|shop| (*shop).to_owned()).collect::<Vec<_>>()),
        };
        for shops in [vec![], vec!["acme"], vec!["acme", "other_2"]] {
            assert_eq!(of(&head(&shops)), shops);
        }
        assert!(head(&[]).metadata.is_empty());
    }
}
