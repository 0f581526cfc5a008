//! JSON objects whose values are written as text, so that they can be what a serializer never
//! writes: `3.00`, `1e400`.

use serde_json::Value;

/// An object's members, in order. A name may be there twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object(Vec<(String, String)>);

impl Object {
    /// Returns the members of a value; none if it is not an object.
    pub(crate) fn of(value: &Value) -> Self {
        let members = value.as_object().into_iter().flatten();
        Self(members.map(|(name, value)| (name.clone(), value.to_string())).collect())
    }

    /// Sets a member to this JSON text, valid or not.
    pub(crate) fn raw(mut self, name: &str, json: impl Into<String>) -> Self {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = json.into(),
            None => self.0.push((name.to_owned(), json.into())),
        }
        self
    }

    /// Sets a member to this text.
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.raw(name, Value::from(text).to_string())
    }

    /// Removes a member.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// Adds a member a second time.
    pub(crate) fn twice(mut self, name: &str) -> Self {
        self.0.extend(self.0.iter().find(|(known, _)| known == name).cloned());
        self
    }

    /// Returns a member as text; empty if it is absent.
    pub(crate) fn get(&self, name: &str) -> String {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, json)| json.as_str());
        match value.map(serde_json::from_str) {
            Some(Ok(Value::String(text))) => text,
            Some(Ok(other)) => other.to_string(),
            _ => String::new(),
        }
    }

    /// Returns the object's JSON.
    pub(crate) fn json(&self) -> String {
        let members: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

/// Returns the largest text of so many characters: each takes four bytes.
pub(crate) fn widest(characters: usize, first: &str) -> String {
    first.chars().chain(std::iter::repeat('\u{1F6D2}')).take(characters).collect()
}
