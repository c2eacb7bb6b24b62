//! JSON as it is written, so that it can be written wrong too: members twice, and any text in a value's place.

use serde_json::Value;

#[derive(Clone)]
pub enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// A value as it is spelt.
    Leaf(String),
}

impl Node {
    /// What was written rightly; nothing else is a base.
    pub fn parse(text: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(text).expect("bases are right");
        Self::of(&value)
    }

    pub fn of(value: &Value) -> Self {
        match value {
            Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::of(value)))
                    .collect(),
            ),
            Value::Array(values) => Self::Array(values.iter().map(Self::of).collect()),
            leaf => Self::Leaf(leaf.to_string()),
        }
    }

    pub fn text(text: &str) -> Self {
        Self::Leaf(Value::from(text).to_string())
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Leaf(leaf) => text.push_str(leaf),
            Self::Array(values) => {
                text.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    value.write(text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    text.push_str(&Value::from(name.as_str()).to_string());
                    text.push(':');
                    value.write(text);
                }
                text.push('}');
            }
        }
    }

    /// The node and all within, as paths of indices.
    pub fn paths(&self) -> Vec<Vec<usize>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, here: &mut Vec<usize>, paths: &mut Vec<Vec<usize>>) {
        paths.push(here.clone());
        let inner: Vec<&Self> = match self {
            Self::Object(members) => members.iter().map(|(_, node)| node).collect(),
            Self::Array(values) => values.iter().collect(),
            Self::Leaf(_) => Vec::new(),
        };
        for (index, node) in inner.into_iter().enumerate() {
            here.push(index);
            node.collect(here, paths);
            here.pop();
        }
    }

    pub fn at(&mut self, path: &[usize]) -> &mut Self {
        let Some((index, rest)) = path.split_first() else {
            return self;
        };
        let inner = match self {
            Self::Object(members) => &mut members[*index].1,
            Self::Array(values) => &mut values[*index],
            Self::Leaf(_) => unreachable!("a path ends at a leaf"),
        };
        inner.at(rest)
    }

    /// A path by names.
    pub fn name(&self, path: &[usize]) -> String {
        match (self, path.split_first()) {
            (Self::Object(members), Some((index, rest))) => {
                let (name, node) = &members[*index];
                format!("/{name}{}", node.name(rest))
            }
            (Self::Array(values), Some((index, rest))) => {
                format!("/{index}{}", values[*index].name(rest))
            }
            _ => String::new(),
        }
    }
}
