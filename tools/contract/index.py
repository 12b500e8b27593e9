"""The public actions of the groups that the page lists, from the public list of API version 2018-01-20."""

ACTIONS: dict[str, str] = {
    "Products": """
        CancelReleaseProduct CreateProduct DeleteProduct QueryProduct QueryProductList ReleaseProduct
        UpdateProduct UpdateProductFilterConfig
    """,
    "Thing model (TSL)": """
        CopyThingModel CopyThingModelAsync CreateThingModel DeleteThingModel GetThingModelStatusInner
        GetThingModelTsl GetThingModelTslPublished GetThingTemplate ImportThingModelTsl ListThingModelVersion
        ListThingTemplates PublishThingModel PublishThingModelAsync QueryThingModel QueryThingModelExtendConfig
        QueryThingModelExtendConfigPublished QueryThingModelPublished UpdateThingModel
    """,
    "Devices": """
        BatchCheckDeviceNames BatchCheckImportDevice BatchGetDeviceBindStatus BatchGetDeviceState
        BatchGrayMigrationDevice BatchImportDevice BatchQueryDeviceDetail BatchRegisterDevice
        BatchRegisterDeviceWithApplyId BatchUpdateDeviceNickname DeleteDevice DisableThing EnableThing
        GenerateDeviceNameListURL GetDeviceStatus ImportDevice QueryBatchRegisterDeviceStatus QueryDevice
        QueryDeviceBySQL QueryDeviceByStatus QueryDeviceDetail QueryDeviceInfo QueryDeviceProvisioning
        QueryDeviceStatistics QueryImportedDeviceByApplyId QueryPageByApplyId RegisterDevice
    """,
    "Tags": """
        CreateProductTags DeleteDeviceProp DeleteProductTags ListProductByTags ListProductTags QueryDeviceByTags
        QueryDeviceProp SaveDeviceProp UpdateProductTags
    """,
    "Topology": """
        BatchAddThingTopo GetGatewayBySubDevice GetThingTopo NotifyAddThingTopo RemoveThingTopo
    """,
    "Thing control & data": """
        InvokeThingService InvokeThingsService QueryCustomTimelineTableStatus QueryDeviceEventData
        QueryDeviceOriginalEventData QueryDeviceOriginalPropertyData QueryDeviceOriginalPropertyStatus
        QueryDeviceOriginalServiceData QueryDevicePropertiesData QueryDevicePropertyData
        QueryDevicePropertyStatus QueryDeviceServiceData QueryDevicesHotStorageData
        QueryDevicesHotStorageDataStatus ResetDeviceTimeline ResetThing SetDeviceProperty SetDevicesProperty
        WriteDevicesHotStorageData
    """,
    "Desired property": """
        ClearDeviceDesiredProperty QueryDeviceDesiredProperty SetDeviceDesiredProperty
    """,
    "Shadow": """
        GetDeviceShadow UpdateDeviceShadow
    """,
    "Messaging": """
        AsyncRRpc BatchPub DeleteClientIds Pub PubBroadcast QueryClientIds QueryMessageInfo RRpc
        TransformClientId
    """,
    "Topics": """
        CreateProductTopic CreateTopicConfig CreateTopicRouteTable DeleteProductTopic DeleteTopicConfig
        DeleteTopicRouteTable QueryDeviceSubTopic QueryProductTopic QueryTopicConfig QueryTopicReverseRouteTable
        QueryTopicRouteTable SubscribeTopic UnsubscribeTopic UpdateProductTopic UpdateTopicConfig
    """,
    "Rule engine (SQL)": """
        CreateRule CreateRuleAction DeleteRule DeleteRuleAction GetRule GetRuleAction ListRule ListRuleActions
        StartRule StopRule UpdateRule UpdateRuleAction
    """,
    "OTA": """
        CancelOTAStrategyByJob CancelOTATaskByDevice CancelOTATaskByJob ConfirmOTATask
        CreateOTADynamicUpgradeJob CreateOTAFirmware CreateOTAModule CreateOTAStaticUpgradeJob
        CreateOTAVerifyJob DeleteOTAFirmware DeleteOTAModule GenerateOTAUploadURL ListOTAFirmware
        ListOTAJobByDevice ListOTAJobByFirmware ListOTAModuleByProduct ListOTAModuleVersionsByDevice
        ListOTATaskByJob ListOTAUnfinishedTaskByDevice ModifyOTAFirmware QueryOTAFirmware QueryOTAJob
        ReupgradeOTATask UpdateOTAJob UpdateOTAModule
    """,
}

INDEX: dict[str, tuple[str, ...]] = {group: tuple(names.split()) for group, names in ACTIONS.items()}
