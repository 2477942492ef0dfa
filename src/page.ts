/** Size in bytes of a page of memory on x86-64: the unit of mappings, and of segments in an image. */
export const PAGE_SIZE = 4096;
