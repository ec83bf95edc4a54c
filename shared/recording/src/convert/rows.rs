//! Recorded rows there and back.

use countersign_wire::v1;

use super::InvalidFrame;
use crate::{
    bounds::{MAX_COLUMNS, MAX_LABEL},
    entry::{Payload, RecordedColumn, RecordedRows},
    rows,
};

pub(super) fn recorded_columns(recorded: &RecordedRows) -> Vec<v1::RecordedColumn> {
    let wire = |column: &RecordedColumn| v1::RecordedColumn {
        name: column.name.clone(),
        type_oid: column.type_oid,
        format: column.format.into(),
        masked: column.masked.clone(),
    };
    recorded.columns.iter().map(wire).collect()
}

/// `total`: the rows that were sent to the client, of which these are some.
pub(super) fn recorded(
    columns: Vec<v1::RecordedColumn>,
    row_data: Vec<u8>,
    count: u64,
    total: u64,
) -> Result<RecordedRows, InvalidFrame> {
    if columns.len() > MAX_COLUMNS || count > total || rows::count(&row_data) != Some(count) {
        return Err(InvalidFrame::Rows);
    }
    let columns = columns.into_iter().map(column).collect::<Result<_, _>>()?;
    Ok(RecordedRows { columns, data: Payload(row_data), count })
}

fn column(wire: v1::RecordedColumn) -> Result<RecordedColumn, InvalidFrame> {
    let format = u16::try_from(wire.format).ok().filter(|format| *format <= 1).ok_or(InvalidFrame::Rows)?;
    if wire.masked.len() > MAX_LABEL {
        return Err(InvalidFrame::Rows);
    }
    Ok(RecordedColumn { name: wire.name, type_oid: wire.type_oid, format, masked: wire.masked })
}
