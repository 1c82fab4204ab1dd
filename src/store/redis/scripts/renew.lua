-- A replica reports what it has in effect, and learns whether that is all there is.
--
-- ARGV: gen, revision, chain, incarnation, predecessor or '', name, address, how many milliseconds its
-- leases run, what the names of its kind begin with and how many of those may be listed, or '' for a replica.
--
-- The predecessor has ended, as far as its successor knows. Its name must be ours, and it goes only when
-- we come: a copy of its folder, under another name or beside it, takes nobody off.
local head, refusal = stored(false)
if not head then
    return refusal
end
local gen, rev, chain, incarnation, predecessor, name, address, limit, kind, most = unpack(ARGV)

local place, why = standing(head, gen, rev, chain)
if not place then
    return why
end
if place == 'LINEAGE' then
    return { 'LINEAGE', head.reign, head.rev, head.gen, head.ancestors }
end
if place == 'APART' then
    redis.call('HSET', META, 'fork', '1')
    return { 'FORKED_APART', head.reign, head.rev }
end
if tonumber(head.limit) < tonumber(limit) then
    -- Whoever waits for leases to run out would not wait long enough for this one.
    return { 'LIMIT', head.reign, head.rev, head.limit }
end

local now = time()
local beats, ended = 0, nil
local mine = redis.call('HGET', REPS, incarnation)
if mine then
    local found = member(mine)
    if not found then
        return corrupt('the list of replicas', 'an entry does not read')
    end
    if found.name ~= name then
        -- Who knows another's number does not speak for it.
        return { 'TAKEN', head.reign, head.rev, found.address }
    end
    beats = tonumber(found.beats)
else
    local all
    all, why = members()
    if not all then
        return why
    end
    -- By then, whoever had the name and stopped reporting has no lease left, whatever the clocks do.
    local window = tonumber(head.limit) * 2
    local alike = 0
    for other, found in pairs(all) do
        if kind ~= '' and string.sub(found.name, 1, #kind) == kind then
            alike = alike + 1
        end
        if found.name == name then
            if other == predecessor then
                ended = other
            elseif now - tonumber(found.seen) < window then
                return { 'TAKEN', head.reign, head.rev, found.address }
            end
        end
    end
    -- Nobody is taken off to make room: by this clock nobody is known to have no lease left.
    if kind ~= '' and tonumber(most) <= alike then
        return { 'FULL', head.reign, head.rev }
    end
end
if ended then
    redis.call('HDEL', REPS, ended)
end
local value = table.concat({
    gen, rev, chain, string.format('%.0f', beats + 1), string.format('%.0f', now), name, address,
}, ' ')
redis.call('HSET', REPS, incarnation, value)
return { marked(head, place), head.reign, head.rev }
