import type { Row } from '../../spi/driver.ts'
import { text } from '../shared/rows.ts'
import type { SchemaObject } from '../shared/schema-drift.ts'

/**
 * What the catalogue has of the tables whose names begin with a prefix; `?` are its length and itself, three times. The two servers describe
 * the same column in different words.
 */
export const catalogStatement: string = `
  SELECT ${utf8('t.table_name')} AS belongs_to, CONCAT('table ', ${utf8('t.table_name')}) AS name,
    CONCAT('engine ', ${utf8('t.engine')}) AS detail, '' AS collated, '' AS type_text, '' AS initial, '' AS extra, '' AS expression
  FROM information_schema.tables t WHERE t.table_schema = database() AND LEFT(t.table_name, ?) = ?
  UNION ALL
  SELECT ${utf8('c.table_name')}, CONCAT('column ', ${utf8('c.table_name')}, '.', ${utf8('c.column_name')}), ${utf8('c.is_nullable')},
    COALESCE(${utf8('c.collation_name')}, ''), ${utf8('c.column_type')}, COALESCE(${utf8('c.column_default')}, 'NULL'),
    ${utf8('c.extra')}, COALESCE(${utf8('c.generation_expression')}, '')
  FROM information_schema.columns c WHERE c.table_schema = database() AND LEFT(c.table_name, ?) = ?
  UNION ALL
  SELECT ${utf8('s.table_name')}, CONCAT('index ', ${utf8('s.table_name')}, '.', ${utf8('s.index_name')}),
    CONCAT(CASE WHEN MIN(s.non_unique) = 0 THEN 'unique ' ELSE '' END, LOWER(MIN(${utf8('s.index_type')})), ' (',
      GROUP_CONCAT(COALESCE(CONCAT(${utf8('s.column_name')}, COALESCE(CONCAT('(', s.sub_part, ')'), ''),
        CASE s.collation WHEN 'D' THEN ' desc' ELSE '' END), 'an expression') ORDER BY s.seq_in_index SEPARATOR ', '), ')'),
    '', '', '', '', ''
  FROM information_schema.statistics s WHERE s.table_schema = database() AND LEFT(s.table_name, ?) = ?
  GROUP BY s.table_name, s.index_name
  UNION ALL
  SELECT ${utf8('g.event_object_table')}, CONCAT('trigger ', ${utf8('g.trigger_name')}),
    CONCAT('on ', ${utf8('g.event_object_table')}), '', '', '', '', ''
  FROM information_schema.triggers g WHERE g.event_object_schema = database() AND LEFT(g.event_object_table, ?) = ?
  UNION ALL
  SELECT ${utf8('o.table_name')}, CONCAT('constraint ', ${utf8('o.table_name')}, '.', ${utf8('o.constraint_name')}),
    LOWER(${utf8('o.constraint_type')}), '', '', '', '', ''
  FROM information_schema.table_constraints o WHERE o.table_schema = database() AND LEFT(o.table_name, ?) = ?
    AND o.constraint_type NOT IN ('PRIMARY KEY', 'UNIQUE')`

/** The columns of the catalogue have different collations, which a UNION would refuse to mix. */
function utf8(column: string): string {
  return `CONVERT(${column} USING utf8mb4)`
}

export function catalogParams(prefix: string): readonly (string | number)[] {
  return Array<readonly (string | number)[]>(5).fill([prefix.length, prefix]).flat()
}

/** @param collation the one by which text is to be compared */
export function objectRow(row: Row, prefix: string, collation: string): SchemaObject {
  const short = (name: string): string => name.replace(` ${prefix}`, ' ')
  const name = short(text(row, 'name'))
  const table = text(row, 'belongs_to').slice(prefix.length)
  if (!name.startsWith('column ')) return { name, table, detail: short(text(row, 'detail')) }
  const collated = text(row, 'collated')
  const initial = text(row, 'initial').replaceAll("'", '')
  const extra = text(row, 'extra').toLowerCase()
  const expression = text(row, 'expression')
    .toLowerCase()
    .replaceAll(/[`"\s]/g, '')
  const parts = [
    // MySQL 8.0.19 has done away with the widths of numbers.
    text(row, 'type_text')
      .toLowerCase()
      .replace(/^(\w*int)\(\d+\)/, '$1'),
    collated === '' ? '' : collated === collation ? 'by bytes' : `collate ${collated}`,
    text(row, 'detail') === 'NO' ? 'not null' : '',
    initial === 'NULL' ? '' : `default ${initial}`,
    extra.includes('auto_increment') ? 'auto_increment' : '',
    expression === '' ? '' : `${extra.includes('virtual') ? 'virtual' : 'stored'} ${withoutBrackets(expression)}`,
  ]
  return { name, table, detail: parts.filter((part) => part !== '').join(' ') }
}

function withoutBrackets(expression: string): string {
  const inside = /^\((.*)\)$/.exec(expression)?.[1]
  return inside ?? expression
}
