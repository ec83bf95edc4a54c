//! `class.proto`: data classes as an edge is told of them.

use std::sync::Arc;

use countersign_model::{DataClass, Detector, TaggedColumn};

use crate::v1;

/// Columns that one class may have.
pub const MAX_COLUMNS: usize = 1_000;
/// Longest name of the catalog, in bytes.
const MAX_NAME: usize = 63;

/// How a data class on the wire can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClass {
    /// Its name is not a name.
    #[error("the name of a data class is malformed")]
    Name,
    /// A detector is unspecified or unknown.
    #[error("a detector is unknown")]
    Detector,
    /// The name of a column, relation or schema is none, or there are too many.
    #[error("a tagged column is malformed, or there are more than {MAX_COLUMNS}")]
    Column,
    /// It has neither columns nor detectors.
    #[error("a data class has neither columns nor detectors")]
    Empty,
    /// Something is there twice.
    #[error("a data class has the same column or detector twice")]
    Twice,
}

impl From<Detector> for v1::Detector {
    fn from(detector: Detector) -> Self {
        match detector {
            Detector::Email => Self::Email,
            Detector::Card => Self::Card,
            Detector::Ssn => Self::Ssn,
            Detector::Jwt => Self::Jwt,
        }
    }
}

impl TryFrom<v1::Detector> for Detector {
    type Error = InvalidClass;

    fn try_from(wire: v1::Detector) -> Result<Self, InvalidClass> {
        match wire {
            v1::Detector::Unspecified => Err(InvalidClass::Detector),
            v1::Detector::Email => Ok(Self::Email),
            v1::Detector::Card => Ok(Self::Card),
            v1::Detector::Ssn => Ok(Self::Ssn),
            v1::Detector::Jwt => Ok(Self::Jwt),
        }
    }
}

impl TryFrom<v1::DataClassConfiguration> for DataClass {
    type Error = InvalidClass;

    fn try_from(wire: v1::DataClassConfiguration) -> Result<Self, InvalidClass> {
        if wire.columns.len() > MAX_COLUMNS {
            return Err(InvalidClass::Column);
        }
        let name = wire.name.parse().map_err(|_| InvalidClass::Name)?;
        let detectors = wire.detectors.iter().map(|number| detector(*number)).collect::<Result<_, _>>()?;
        let columns = wire.columns.into_iter().map(column).collect::<Result<_, _>>()?;
        let (columns, detectors) = (sorted(columns)?, sorted(detectors)?);
        if columns.is_empty() && detectors.is_empty() {
            return Err(InvalidClass::Empty);
        }
        Ok(Self { name, columns, detectors })
    }
}

/// A number that this version does not know is an error: whoever sent it wanted something masked.
fn detector(number: i32) -> Result<Detector, InvalidClass> {
    v1::Detector::try_from(number).map_err(|_| InvalidClass::Detector)?.try_into()
}

fn column(wire: v1::ClassColumn) -> Result<TaggedColumn, InvalidClass> {
    let v1::ClassColumn { schema, relation, column } = wire;
    let name = |name: String| {
        let is_name = (1..=MAX_NAME).contains(&name.len()) && !name.contains('\0');
        if is_name { Ok(Arc::from(name)) } else { Err(InvalidClass::Column) }
    };
    Ok(TaggedColumn { schema: name(schema)?, relation: name(relation)?, column: name(column)? })
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Result<Vec<T>, InvalidClass> {
    items.sort_unstable();
    if items.is_sorted_by(|a, b| a < b) { Ok(items) } else { Err(InvalidClass::Twice) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(column: &str) -> v1::ClassColumn {
        v1::ClassColumn { schema: "public".into(), relation: "customers".into(), column: column.into() }
    }

    fn wire() -> v1::DataClassConfiguration {
        v1::DataClassConfiguration {
            name: "email".into(),
            columns: vec![column("email"), column("e-mail 2")],
            detectors: vec![v1::Detector::Jwt.into(), v1::Detector::Email.into()],
        }
    }

    #[test]
    fn a_class_is_read_and_sorted() {
        let class = DataClass::try_from(wire()).unwrap();
        let tagged = |column: &str| TaggedColumn {
            schema: "public".into(),
            relation: "customers".into(),
            column: column.into(),
        };
        assert_eq!(class.name.as_str(), "email");
        assert_eq!(class.columns, [tagged("e-mail 2"), tagged("email")]);
        assert_eq!(class.detectors, [Detector::Email, Detector::Jwt]);
    }

    #[test]
    fn every_detector_has_a_number_of_its_own() {
        for detector in Detector::ALL {
            assert_eq!(Detector::try_from(v1::Detector::from(detector)), Ok(detector));
            let word = format!("DETECTOR_{}", detector.as_str().to_uppercase());
            assert_eq!(v1::Detector::from(detector).as_str_name(), word);
        }
    }

    #[test]
    fn each_malformed_field_of_a_class_has_its_name() {
        let with = |change: fn(&mut v1::DataClassConfiguration)| {
            let mut wire = wire();
            change(&mut wire);
            DataClass::try_from(wire).expect_err("malformed")
        };
        assert_eq!(with(|c| c.name = "E mail".into()), InvalidClass::Name);
        assert_eq!(with(|c| c.detectors.push(0)), InvalidClass::Detector);
        assert_eq!(with(|c| c.detectors.push(99)), InvalidClass::Detector);
        assert_eq!(with(|c| c.detectors.push(c.detectors[0])), InvalidClass::Twice);
        assert_eq!(with(|c| c.columns.push(c.columns[0].clone())), InvalidClass::Twice);
        assert_eq!(with(|c| c.columns[0].schema.clear()), InvalidClass::Column);
        assert_eq!(with(|c| c.columns[0].relation.push('\0')), InvalidClass::Column);
        assert_eq!(with(|c| c.columns[0].column = "c".repeat(MAX_NAME + 1)), InvalidClass::Column);
        let many = |c: &mut v1::DataClassConfiguration| {
            c.columns = (0..=MAX_COLUMNS).map(|at| column(&at.to_string())).collect();
        };
        assert_eq!(with(many), InvalidClass::Column);
        assert_eq!(with(|c| (c.columns, c.detectors) = (Vec::new(), Vec::new())), InvalidClass::Empty);
    }
}
