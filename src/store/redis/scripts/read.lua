-- Records after a place, oldest first: as many as fit, and at least one if there is one.
--
-- ARGV: gen or '' for any, revision, its chain or '' for whatever it is, last revision wanted, most
-- records, most bytes. A place that is not part of this history marks it as forked.
local head, refusal = stored(true)
if not head then
    return refusal
end
local gen, rev, chain, last, most_records, most_bytes = unpack(ARGV)
if gen ~= '' and gen ~= head.gen then
    return { 'LINEAGE', head.reign }
end
if chain == '' then
    if head.number < tonumber(rev) then
        return { 'NONE', head.reign }
    end
    chain, refusal = chain_at(rev)
    if not chain then
        return refusal
    end
elseif rev ~= '0' then
    local place, why = standing(head, head.gen, rev, chain)
    if not place then
        return why
    end
    if place == 'APART' then
        redis.call('HSET', META, 'fork', '1')
        return { 'APART', head.reign }
    end
end
local page = { 'PAGE', head.reign, head.gen, head.rev, head.chain, chain }
local from, records, bytes = rev .. '-0', 0, 0
most_records, most_bytes = tonumber(most_records), tonumber(most_bytes)
while records < most_records and bytes < most_bytes do
    local found = redis.call('XRANGE', LOG, '(' .. from, last .. '-0', 'COUNT', 16)
    if #found == 0 then
        break
    end
    for _, record in ipairs(found) do
        local id, fields = record[1], record[2]
        if #fields ~= 4 or fields[1] ~= 'e' or fields[3] ~= 'c' then
            return corrupt('record ' .. id, 'it has not the fields `e` and `c`')
        end
        local size = #fields[2]
        if records == most_records or (0 < records and most_bytes < bytes + size) then
            return page
        end
        records, bytes, from = records + 1, bytes + size, id
        page[#page + 1] = id
        page[#page + 1] = fields[4]
        page[#page + 1] = fields[2]
    end
end
return page
