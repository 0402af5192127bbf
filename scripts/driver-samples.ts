// Writes the samples of the drivers into the page that shows them: `node scripts/driver-samples.ts`. A test sees whether it was done.
import { readFileSync, writeFileSync } from 'node:fs'

const PAGE = new URL('../docs/guides/drivers.md', import.meta.url)
const SAMPLE = /^\[(?<path>examples\/drivers\/src\/[\w-]+\.ts)\]\([^)]*\)\n\n```ts\n(?:[\s\S]*?\n)?```$/gm

/** The page with every sample as its file has it: the code behind a line that is a link to a file of `examples/drivers/src`. */
export function withSamples(page: string): string {
  return page.replaceAll(SAMPLE, (_, path: string) => {
    const code = readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
    return `[${path}](../../${path})\n\n\`\`\`ts\n${code.trimEnd()}\n\`\`\``
  })
}

/** The samples that the page shows, by their paths. */
export function samplesOf(page: string): string[] {
  return [...page.matchAll(SAMPLE)].map(({ groups }) => groups?.['path'] ?? '')
}

if (import.meta.main) writeFileSync(PAGE, withSamples(readFileSync(PAGE, 'utf8')))
