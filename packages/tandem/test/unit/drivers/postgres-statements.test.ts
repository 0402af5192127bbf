import { describe, expect, test } from 'vitest'
import { controlsTransaction } from '../../../src/drivers/postgres-statements.ts'

describe('a statement that begins or ends a transaction', () => {
  test.each([
    'BEGIN',
    'begin isolation level serializable',
    'BEGIN;',
    'START TRANSACTION',
    'COMMIT',
    'COMMIT AND CHAIN',
    'END',
    'end work',
    'ABORT',
    'ROLLBACK',
    'ROLLBACK WORK',
    'rollback transaction',
    'ROLLBACK PREPARED $1',
    "PREPARE TRANSACTION 'a'",
    "COMMIT PREPARED 'a'",
    '  \n\tCOMMIT',
    '/* why */ -- not\n COMMIT',
    '/* ; */COMMIT',
    ';COMMIT',
    ';;\n;COMMIT',
    'SELECT 1; COMMIT',
    'SELECT 1;COMMIT;BEGIN',
    "SELECT 'it''s'; COMMIT",
    "SELECT E'it\\'s'; COMMIT",
    'SELECT $$;$$; COMMIT',
    'SELECT $a$;$$;$a$; COMMIT',
    'SELECT 1 AS "a;b"; COMMIT',
    'SAVEPOINT a; ROLLBACK',
  ])('%s', (sql) => {
    expect(controlsTransaction(sql)).toBe(true)
  })
})

describe('any other', () => {
  test.each([
    '',
    ';;',
    'SELECT 1',
    'SELECT 1;',
    'SELECT 1; SELECT 2',
    '-- COMMIT\nSELECT 1',
    '-- COMMIT',
    'SELECT 1 /* ; COMMIT; */',
    'SELECT 1; /* never ends; COMMIT',
    "INSERT INTO t VALUES ('; COMMIT; it''s'); SELECT 1",
    "SELECT E'\\'; COMMIT; '; SELECT 1",
    'SELECT "; COMMIT; "; SELECT 1',
    'DO $$ BEGIN PERFORM 1; END $$',
    'DO $do$ BEGIN PERFORM $$;$$; END $do$; SELECT 1',
    'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$; SELECT 1',
    "SELECT 1; SELECT '; never ends; COMMIT",
    'SELECT $1, $2; SELECT $1',
    'SAVEPOINT a',
    'RELEASE SAVEPOINT a',
    'ROLLBACK TO a',
    'ROLLBACK TO SAVEPOINT a',
    'ROLLBACK WORK TO SAVEPOINT a',
    'rollback transaction to a',
    'PREPARE a AS SELECT 1',
    'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
    'SELECT commit FROM commits',
    'SELECT 1; SELECT commit',
    'CALL work()',
  ])('%s', (sql) => {
    expect(controlsTransaction(sql)).toBe(false)
  })
})
